"""The helper that other tests run commands with."""

import os
import subprocess

import pytest
from tests.commands import digitvae


def test_each_command_has_its_own_directory_environment_and_output(tmp_path):
    (tmp_path / "here").mkdir()
    arguments = ["generate", "-n", 1, "--grid", "-o", "a.png"]
    assert digitvae(*arguments, cwd=tmp_path / "here").returncode == 0
    refused = digitvae(*arguments, cwd=tmp_path / "here")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "already exists" in " ".join(refused.stderr.split())
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]
    for columns in (60, 110, 60):
        shown = digitvae("--help", env={**os.environ, "COLUMNS": str(columns)}).stdout
        assert max(map(len, shown.splitlines())) == columns


def test_one_that_takes_too_long_is_killed_and_the_next_is_not(tmp_path):
    with pytest.raises(subprocess.TimeoutExpired):
        digitvae("generate", "-n", 10**7, "-o", "many.npz", cwd=tmp_path, timeout=0.2)
    assert "digitvae" in digitvae("--version", cwd=tmp_path).stdout
