"""The GPT example learns and writes, at a size that takes seconds."""

import importlib.util
import pathlib

import numpy as np

EXAMPLE = pathlib.Path(__file__).parent.parent / "examples" / "gpt.py"


def _load():
    spec = importlib.util.spec_from_file_location("gpt_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loss_falls_and_letters_are_written(capsys):
    gpt = _load()
    history, written = gpt.main(
        steps=60, length=16, batch=16, epochs=2, letters_out=20, width=16, heads=2, blocks=1, dropout=0.0
    )
    alphabet = set(gpt.TEXT.read_text())
    assert len(written) == len("When I ") + 20 and set(written) <= alphabet and written.startswith("When I ")
    # Guessing costs log(55) = 4.0; letters by their frequency alone about 3.3.
    assert history["loss"][1] < history["loss"][0] < np.log(len(alphabet)) and history["val_loss"][1] < 3.4
    assert written in capsys.readouterr().out


def test_the_model_cannot_see_what_comes_next():
    gpt = _load()
    model = gpt.gpt(letters=5, length=6, width=8, heads=2, blocks=1)
    x = np.array([[0, 1, 2, 3, 4, 0], [0, 1, 2, 1, 1, 1]], "int32")
    y = model.predict(x, verbose=0)
    np.testing.assert_allclose(y[0, :3], y[1, :3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(y[0, 3], y[1, 3])
