"use strict";
/* What is shown can be made again: the command and the Python for it. Tests run what stands here. */
DV.again = (function () {
  const about = function () { return DV.about; };
  function word(text) { return /^[\w@%+=:,.\/-]+$/.test(text) ? text : "'" + text.replace(/'/g, "'\\''") + "'"; }
  function py(text) { return JSON.stringify(text); }
  function model() { return about().name === "studio" ? "" : " --model " + word(about().name); }
  function drawing() { return about().ownStudio ? about().name : "studio"; }
  function drawer() { return drawing() === "studio" ? "" : " --model " + word(drawing()); }
  function data() { return (about().dataOption ? " --data " + word(about().dataOption) : "") + folder(); }
  function folder() { return about().dataDir ? " --data-dir " + word(about().dataDir) : ""; }
  function digits() { return "load_splits(" + py(about().dataName) + (about().dataDir ? ", data_dir=" + py(about().dataDir) : "") + ")"; }
  function planes() { return about().principal ? "from digitvae.explorer.plane import Plane\n" : ""; }
  function list(numbers) { return "[" + numbers.map(function (n) { return DV.plain(n); }).join(", ") + "]"; }
  function code(values, digit) { return (about().byDigit ? digit : "") + ":" + values.map(function (n) { return DV.plain(n); }).join(","); }

  const load = "import torch\nfrom digitvae.checkpoint import load_model\n";
  function loaded() { return "\nmodel, _ = load_model(find_model(" + py(about().name) + "))\n"; }
  function studio(imports) {
    return "import numpy as np\n" + imports + "\nstudio = Studio.load(" + py(drawing()) + ")\n";
  }

  function point(values, digit) {
    const command = "digitvae interpolate " + code(values, digit) + model() + " -o digit.png";
    if (about().byDigit) {
      return { command, python: studio("from digitvae.studio import Studio\n") + "digit = studio.draw(np.array([" + list(values) +
        "]), np.array([" + digit + "]))  # uint8, (1, 28, 28)" };
    }
    return { command, python: load + "from digitvae.generation import decode_images\nfrom digitvae.rundir import find_model\n" + loaded() +
      "digit = decode_images(model, torch.tensor([" + list(values) + "]))  # (1, 1, 28, 28), in [0, 1]" };
  }

  function line(a, b, steps, beyond, digit) {
    const command = "digitvae interpolate " + code(a, digit) + " " + code(b, digit) + " --steps " + steps + " --beyond " +
      DV.plain(beyond) + model() + " -o way.png";
    if (about().byDigit) {
      return { command, python: studio("from digitvae.studio import Studio\nfrom digitvae.styling import between\n") +
        "digit = np.eye(10)[" + digit + "]\na, b = np.array(" + list(a) + "), np.array(" + list(b) + ")\n" +
        "digits = between(studio, (a, digit), (b, digit), steps=" + steps + ", beyond=" + DV.plain(beyond) + ")  # uint8, (" + steps + ", 28, 28)" };
    }
    return { command, python: load + "from digitvae.generation import decode_images\nfrom digitvae.latent import extrapolate\nfrom digitvae.rundir import find_model\n" +
      loaded() + "a, b = torch.tensor(" + list(a) + "), torch.tensor(" + list(b) + ")\n" +
      "digits = decode_images(model, extrapolate(a, b, steps=" + steps + ", beyond=" + DV.plain(beyond) + "))  # (" + steps + ", 1, 28, 28)" };
  }

  /* Codes, and their places where the map shows a projection of these. */
  function map() {
    const head = about().byDigit
      ? studio("from digitvae.data import load_splits\n" + planes() + "from digitvae.studio import Studio\n")
      : "from digitvae.checkpoint import load_model\nfrom digitvae.data import load_splits\n" + planes() +
        "from digitvae.generation import encode_images\nfrom digitvae.rundir import find_model\n" + loaded();
    const encode = about().byDigit ? "studio.style(digits.images, digits.labels)" : "encode_images(model, digits.images).loc.numpy()";
    return { command: "digitvae explore " + word(about().name) + data() + (about().byDigit ? "" : " --export map/"),
      python: head + "digits = " + digits() + ".validation\ncodes = " + encode + "  # (n, latent)" +
        (about().principal ? "\nplaces = Plane(codes).places(codes)  # (n, 2): their two principal components" : "") };
  }

  function film(epoch) {
    return {
      command: "digitvae report " + word(about().name) + folder(),
      python: "from pathlib import Path\nfrom digitvae.checkpoint import load_model\nfrom digitvae.data import load_splits\n" + planes() +
        "from digitvae.generation import encode_images\nfrom digitvae.rundir import RunDirectory\n\nrun = RunDirectory(Path(" + py(about().name) + "))\n" +
        "model, _ = load_model(run.snapshot(" + epoch + "))\ndigits = " + digits() + ".validation\n" +
        "codes = encode_images(model, digits.images).loc.numpy()  # (n, latent)\nlosses = run.metrics()[:" + epoch + "]" +
        (about().principal ? "\nlast, _ = load_model(run.best)\nplaces = Plane(encode_images(last, digits.images).loc.numpy()).places(codes)  # (n, 2), in the plane of the map" : ""),
    };
  }

  /* What a drawing scores, what the explored model makes of it, and the training digits that it is like. */
  function score(found) {
    const s = found.score, by = s ? s.by : about().name, label = found.label;
    const command = s ? "digitvae score digit.png --model " + word(by) + (s.carried ? "" : data())
      : "digitvae interpolate digit.png --size 28" + model() + " -o reconstruction.png";
    const sources = "from digitvae.data import " + (s ? "Digits, " : "") + "load_splits\n" + (s ? "from digitvae.evaluation.files import score_folder\n" : "");
    const image = "images = np.array(Image.open(\"digit.png\").convert(\"L\"))[None]\n";
    const rest = "probabilities = read_digits(frozen(\"reader\")[0], images)\ndigits = " + digits() + "\n" +
      "nearest, distances = nearest_images(images, digits.train.images, " + found.nearest.length + ")  # positions among the training digits" +
      (s ? "\nscores = score_folder(" + py(by) + ", Digits(images), None, lambda: digits)  # log_prob in nats, percentile" : "");
    if (about().byDigit) {
      return { command, python: studio("from PIL import Image\n" + sources +
        "from digitvae.generation import nearest_images\nfrom digitvae.reading import frozen, read_digits\nfrom digitvae.studio import Studio\n") + image +
        "style = studio.style(images, np.array([" + label + "]))\nreconstruction = studio.draw(style, np.array([" + label + "]))  # uint8, (1, 28, 28)\n" + rest };
    }
    return { command, python: "import numpy as np\nfrom PIL import Image\nfrom digitvae.checkpoint import load_model\n" + sources +
      "from digitvae.generation import decode_images, encode_images, nearest_images\nfrom digitvae.reading import frozen, read_digits\nfrom digitvae.rundir import find_model\n\n" + image +
      "model, _ = load_model(find_model(" + py(by) + "))\nposterior = encode_images(model, images)  # loc, log_var\n" +
      "reconstruction = decode_images(model, posterior.loc)\n" + rest };
  }

  function sameHand(label) {
    return {
      command: "for digit in 0 1 2 3 4 5 6 7 8 9; do digitvae mix --digit-of $digit --style-of digit.png --digit " + label + " --size 28" + drawer() + " -o hand-$digit.png; done",
      python: studio("from PIL import Image\nfrom digitvae.studio import Studio\nfrom digitvae.styling import mix\n") +
        "images = np.repeat(np.array(Image.open(\"digit.png\").convert(\"L\"))[None], 10, 0)\n" +
        "digits = mix(studio, np.arange(10), images, np.full(10, " + label + "))  # uint8, (10, 28, 28)",
    };
  }

  /* A styled digit: of a hand by its number, or of digit.png; mixed, edited, or drawn from its code. */
  function styled(wish, found) {
    const knobs = Object.entries(wish.knobs), rest = wish.rest.some(function (v) { return v !== 0; });
    if (rest) {
      return { command: "digitvae interpolate " + wish.digit + ":" + found.code.join(",") + " --size 28" + drawer() + " -o styled.png",
        python: studio("from digitvae.studio import Studio\n") + "digit = studio.draw(np.array([" + list(found.code) + "]), np.array([" + wish.digit + "]))  # uint8, (1, 28, 28)" };
    }
    const last = knobs.length ? "base.png" : "styled.png";
    const commands = [], lines = [];
    let imports = "";
    if (wish.image) {
      imports += "from PIL import Image\n";
      lines.push("image = np.array(Image.open(\"digit.png\").convert(\"L\"))[None]");
      if (wish.digit === wish.label) {
        lines.push("digit = image");
        if (!knobs.length) commands.push("cp digit.png styled.png");
      } else {
        commands.push("digitvae mix --digit-of " + wish.digit + " --style-of digit.png --digit " + wish.label + " --size 28" + drawer() + " -o " + last);
        lines.push("digit = mix(studio, np.array([" + wish.digit + "]), image, np.array([" + wish.label + "]))");
      }
    } else {
      commands.push("printf 'hand,label\\n" + wish.hand + "," + wish.digit + "\\n' > list.csv",
        "digitvae generate --labels list.csv --temperature 0 --grid" + drawer() + " -o " + last);
      lines.push("digit = studio.draw(studio.hand(" + wish.hand + ")[[" + wish.digit + "]], np.array([" + wish.digit + "]))");
    }
    if (knobs.length) {
      const from = wish.image && wish.digit === wish.label ? "digit.png" : "base.png";
      commands.push("digitvae edit " + from + " --digit " + wish.digit + knobs.map(function ([name, value]) { return " --" + name + " " + DV.plain(value, 2); }).join("") +
        " --size 28" + drawer() + " -o styled.png");
      lines.push("wanted = {" + knobs.map(function ([name, value]) { return py(name) + ": " + DV.plain(value, 2); }).join(", ") + "}",
        "digit = edit_images(studio, Knobs.load(studio), digit, np.array([" + wish.digit + "]), wanted).images");
    }
    const styling = [knobs.length ? "Knobs, edit_images" : "", wish.image && wish.digit !== wish.label ? "mix" : ""].filter(Boolean).join(", ");
    imports += "from digitvae.studio import Studio\n" + (styling ? "from digitvae.styling import " + styling + "\n" : "");
    return { command: commands.join("\n"), python: studio(imports) + lines.join("\n") + "  # uint8, (1, 28, 28)" };
  }

  function written(v) {
    const minus = v.text.startsWith("-");
    const command = "digitvae write " + (minus ? "" : "'" + v.text + "' ") + "--hand " + v.hand + (v.seed ? " --seed " + v.seed : "") +
      " --height " + v.height + (v.ink === "#000000" ? "" : " --ink '" + v.ink + "'") + (v.paper === "#ffffff" ? "" : " --paper '" + v.paper + "'") +
      drawer() + " -o note.png" + (minus ? " -- '" + v.text + "'" : "");
    return { command, python: "from digitvae.handwriting import page, write\nfrom digitvae.inking import as_png, paint\nfrom digitvae.studio import Studio\n\n" +
      "studio = Studio.load(" + py(drawing()) + ")\nline = page(list(write(studio, [" + py(v.text) + "], [" + v.hand + "], height=" + v.height + ", seed=" + v.seed + ")))\n" +
      "content = as_png(paint(line.ink, " + py(v.ink) + ", " + py(v.paper) + "))  # what note.png holds" };
  }

  /* The buttons, and what they copy. */
  function show(place, made) {
    place = typeof place === "string" ? DV.el(place) : place;
    if (!place.made) {
      const code = DV.make("pre", { hidden: true, tabindex: "0", "aria-label": "Command and Python" });
      const button = function (what, name) {
        const made = DV.make("button", { type: "button", "data-copy": name, onclick: async function () {
          try { await navigator.clipboard.writeText(place.made[name]); made.textContent = "Copied"; } catch (error) {
            code.hidden = false; made.textContent = "Select it below";
          }
          setTimeout(function () { made.textContent = what; }, 1600);
        } }, what);
        return made;
      };
      const see = DV.make("button", { type: "button", "aria-expanded": "false", onclick: function () {
        code.hidden = !code.hidden;
        see.setAttribute("aria-expanded", String(!code.hidden));
      } }, "Show");
      place.replaceChildren(DV.make("div", { class: "row" }, button("Copy the command", "command"), button("Copy the Python", "python"), see), code);
    }
    place.made = made;
    place.querySelector("pre").textContent = made.command + "\n\n" + made.python;
  }

  return { point, line, map, film, score, sameHand, styled, written, show };
})();
