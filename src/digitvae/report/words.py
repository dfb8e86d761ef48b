"""Words that are the same in every report, or nearly so."""

from digitvae.report.parts import Table


def rivals(told: bool) -> Table:
    """The comparison of VAEs and GANs, for a run whose model is `told` the digit or is not."""
    unsupervised = "None needed: unsupervised."
    return Table(
        "VAE against GAN",
        f"Both make new images{', and neither needs labels' if told else ' without labels'}. What sets them apart:",
        ["", "VAE", "GAN"],
        [
            [
                "How it learns",
                "Encoder and decoder together minimise one loss, a bound on the likelihood.",
                "A generator and a critic play against each other: one makes images from noise, the other tells them "
                "from real ones.",
            ],
            [
                "Stability",
                "Steady: one fixed objective; the validation loss says when to stop. It can collapse: a latent "
                "dimension may end up unused.",
                "Usually less steady: no loss that simply falls; it may circle, or drop whole kinds of image (mode "
                "collapse).",
            ],
            [
                "Probability",
                "A lower bound on p(x), which can be tightened, so models can be compared.",
                "None: it samples, but gives no density.",
            ],
            [
                "From image to code",
                "The encoder, in one pass; so real images can be mapped, changed and mixed.",
                "Not part of it; needs another network or a search.",
            ],
            [
                "What samples look like",
                "Smooth, often blurred: pixels are independent given the code; the decoder averages over what fits.",
                "Sharper, but possibly of fewer kinds.",
            ],
            [
                "Training time",
                "One loss, one backward pass a step.",
                "Two networks in turn, more tries to get right; usually longer for like quality.",
            ],
            ["Labels", "None needed; this run's model is told them.", "None needed; it can be told them too."]
            if told
            else ["Labels", unsupervised, unsupervised],
        ],
        words=True,
    )
