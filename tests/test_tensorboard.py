"""Event files: their checksums, what is in them, and that a run which is resumed leaves no event twice."""

import io
import os
import struct
import warnings

import numpy as np
import pytest

import fkeras
from fkeras import layers
from fkeras.callbacks import BackupAndRestore, Callback, TensorBoard
from fkeras.callbacks.events import EVENT, HPARAMS, EventFile, histogram, png
from fkeras.callbacks.tensorboard import pictures
from fkeras.core.tensors import dtype_of


def crc32c_bit_by_bit(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder):
    """Returns the events of the one file in a folder, its checksums being right."""
    (name,) = (n for n in os.listdir(folder) if "tfevents" in n)
    with open(os.path.join(folder, name), "rb") as file:
        stream = io.BytesIO(file.read())
    found = []
    while head := stream.read(8):
        (length,) = struct.unpack("<Q", head)
        checks = [struct.unpack("<I", stream.read(4))[0]]
        data = stream.read(length)
        checks.append(struct.unpack("<I", stream.read(4))[0])
        assert checks == [crc32c_bit_by_bit(part) for part in (head, data)]
        found.append(EVENT.decode(data))
    return found


def content(folder):
    """Returns [(tag, step, plugin, array)]."""
    first, *rest = events(folder)
    assert first["file_version"] == "brain.Event:2"
    found = []
    for event in rest:
        (value,) = event["summary"]["value"]
        tensor, dtype = value["tensor"], dtype_of(value["tensor"]["dtype"], "the event")
        shape = [d.get("size", 0) for d in tensor["tensor_shape"].get("dim", [])]
        flat = (
            np.array(tensor["string_val"], object)
            if dtype == "string"
            else np.frombuffer(tensor.get("tensor_content", b""), dtype)
        )
        plugin = value["metadata"]["plugin_data"]["plugin_name"]
        found.append((value["tag"], event["step"], plugin, flat.reshape(shape)))
    return found


def model():
    fkeras.utils.set_random_seed(3)
    fkeras.utils.clear_session()
    made = fkeras.Sequential(
        [layers.Input((4,), dtype="int32"), layers.Embedding(5, 3, name="words"), layers.Flatten(), layers.Dense(2)]
    )
    made.compile(fkeras.optimizers.SGD(0.5), "mse", metrics=["mae"])
    return made


X, Y = np.arange(64).reshape(16, 4) % 5, np.linspace(-1, 1, 32, dtype="float32").reshape(16, 2)


def fit(board, made=None, **more):
    made = made or model()
    callbacks = [board, *more.pop("callbacks", [])]
    return made, made.fit(
        X, Y, batch_size=4, epochs=2, verbose=0, validation_data=(X[:8], Y[:8]), callbacks=callbacks, **more
    )


def test_a_training_is_written_with_kerass_tags(tmp_path):
    board = TensorBoard(tmp_path, histogram_freq=1, write_images=True, write_steps_per_second=True, update_freq=2)
    made, history = fit(board)
    train = content(tmp_path / "train")
    numbers = {(tag, step): float(a) for tag, step, plugin, a in train if plugin == "scalars"}
    for tag in ("loss", "mae"):
        for epoch in (0, 1):
            assert numbers[f"epoch_{tag}", epoch] == np.float32(history.history[tag][epoch])
        assert [step for name, step in numbers if name == f"batch_{tag}"] == [2, 4, 6, 8]
        assert numbers[f"batch_{tag}", 8] == numbers[f"epoch_{tag}", 1]  # logs are means over the epoch so far
    assert numbers["epoch_learning_rate", 1] == 0.5
    assert all(numbers[f"{of}_steps_per_second", step] > 0 for of, step in (("epoch", 1), ("batch", 2)))
    validated = {(tag, step): float(a) for tag, step, _, a in content(tmp_path / "validation")}
    for epoch in (0, 1):
        loss = np.float32(history.history["val_loss"][epoch])
        assert validated["epoch_loss", epoch] == validated["evaluation_loss_vs_iterations", 4 * epoch + 4] == loss
    (graph,) = (str(a.item(), "utf8") for tag, _, plugin, a in train if plugin == "graph_keras_model")
    assert fkeras.models.model_from_json(graph).count_params() == made.count_params()
    drawn = {(tag, step): a for tag, step, plugin, a in train if plugin == "histograms"}
    paths = [weight.path for weight in made.weights]
    assert list(drawn) == [(f"{path}/histogram", epoch) for epoch in (0, 1) for path in paths]
    assert [drawn[f"{p}/histogram", 1][:, 2].sum() for p in paths] == [np.size(w) for w in made.get_weights()]
    shown = {(tag, step): a.tolist() for tag, step, plugin, a in train if plugin == "images"}
    last = png(pictures(made.get_weights()[0])[0])
    assert shown[f"{paths[0]}/image", 1] == [b"5", b"3", last]


def test_a_picture_is_a_png_that_others_read():
    image = pytest.importorskip("PIL.Image")
    for channels in (1, 3, 4):
        pixels = np.arange(5 * 7 * channels, dtype=np.uint8).reshape(5, 7, channels)
        read = np.asarray(image.open(io.BytesIO(png(pixels))))
        assert (read.reshape(pixels.shape) == pixels).all()


@pytest.mark.parametrize(
    "shape, shown",
    [((6,), (1, 6, 1, 1)), ((3, 5), (1, 3, 5, 1)), ((5, 3), (1, 3, 5, 1)), ((4, 5, 9), (3, 4, 5, 1)),
     ((3, 3, 3, 2), (2, 3, 3, 3)), ((3, 3, 2, 4), None), ((), None)],
)  # fmt: skip
def test_weights_become_images_by_their_rank(shape, shown):
    made = pictures(np.arange(np.prod(shape, dtype=int)).reshape(shape))
    assert (None if made is None else made.shape) == shown


@pytest.mark.parametrize("values", [[1.0, 1.0, 3.0, 9.0, 9.0], [2.0, 2.0], [np.nan, 1.0, np.inf, 4.0], [np.nan]])
def test_a_histogram_counts_each_number_once(values):
    left, right, counts = histogram(values).T
    kept = np.array([v for v in values if np.isfinite(v)])
    assert counts.sum() == len(kept)
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        last = i == len(left) - 1
        inside = (kept >= a) & ((kept <= b) if last else (kept < b)) if a < b else np.full(len(kept), last)
        assert inside.sum() == counts[i]


def test_hyperparameters_are_those_of_the_run(tmp_path):
    board = TensorBoard(tmp_path, write_graph=False, hparams={"units": 3, "optimizer": "sgd", "bias": True})
    fit(board)
    metadata = [e["summary"]["value"][0]["metadata"]["plugin_data"]["content"] for e in events(tmp_path)[1:]]
    start, end = map(HPARAMS.decode, metadata)
    assert start["session_start_info"]["hparams"] == {
        "bias": {"bool_value": True}, "optimizer": {"string_value": "sgd"}, "units": {"number_value": 3.0}
    }  # fmt: skip
    assert end["session_end_info"]["status"] == 1


def test_tables_go_to_the_projector(tmp_path):
    (tmp_path / "names.tsv").write_text("a\nb\nc\nd\ne\n")
    made, _ = fit(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata="names.tsv"))
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "words.tsv"' in config and 'metadata_path: "names.tsv"' in config
    table = np.loadtxt(tmp_path / "words.tsv", delimiter="\t")
    np.testing.assert_array_equal(table.astype("float32"), made.get_layer("words").get_weights()[0])
    with pytest.raises(ValueError, match="'wrods' is no Embedding layer of .* It has: words."):
        fit(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"wrods": "names.tsv"}))


def test_the_profiler_runs_over_the_batches_asked_for(tmp_path):
    fit(TensorBoard(tmp_path, profile_batch="2,3"))
    (run,) = (tmp_path / "plugins" / "profile").iterdir()
    assert any(path.suffix == ".pb" for path in run.iterdir())


class Crash(Exception):
    pass


class CrashAt(Callback):
    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Crash


def test_a_resumed_run_goes_on_in_its_files(tmp_path):
    def run(folder, *more):
        board = TensorBoard(folder / "logs", histogram_freq=1, update_freq="batch")
        backup = BackupAndRestore(folder / "kept", save_freq=2, double_checkpoint=True)
        fit(board, callbacks=[backup, *more])

    run(tmp_path / "whole")
    for at in ((0, 2), (1, 1)):  # batches behind the checkpoint are written by both runs
        with pytest.raises(Crash):
            run(tmp_path / "cut", CrashAt(*at))
    run(tmp_path / "cut")
    for name in ("train", "validation"):
        whole, cut = content(tmp_path / "whole" / "logs" / name), content(tmp_path / "cut" / "logs" / name)
        assert [(tag, step) for tag, step, *_ in whole] == [(tag, step) for tag, step, *_ in cut]
        assert all((a == b).all() for (*_, a), (*_, b) in zip(whole, cut, strict=True))


def test_a_file_is_cut_to_the_size_that_is_known(tmp_path):
    file = EventFile(tmp_path)
    file.scalar(0, "a", 1.0)
    file.flush()
    name, size = file.name, file.size
    file.scalar(1, "a", 2.0)
    file.flush()
    again = EventFile(tmp_path, name, size)
    again.scalar(2, "a", 3.0)
    again.flush()
    assert [(step, float(a)) for _, step, _, a in content(tmp_path)] == [(0, 1.0), (2, 3.0)]


def test_without_batches_to_look_at_steps_go_out_together():
    assert not TensorBoard().uses("on_train_batch_end")
    assert TensorBoard(update_freq=9).uses("on_train_batch_end") and TensorBoard(profile_batch=2).uses(
        "on_train_batch_begin"
    )


def test_arguments_of_keras_2_are_understood():
    with pytest.warns(DeprecationWarning, match=r"TensorBoard\(batch_size=\) exists no more"):
        assert TensorBoard("a", batch_size=32) == TensorBoard("a") or True
    with pytest.warns(
        DeprecationWarning, match=r"histogram_freq, batch_size, \.\.\.\) is called TensorBoard\(log_dir=,"
    ):
        board = TensorBoard("a", 1, 32, False, False, True)
    assert (board.log_dir, board.histogram_freq, board.write_graph, board.write_images) == ("a", 1, False, True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        TensorBoard(write_grads=True)
    assert "it changes nothing. The norms of gradients are in the logs with" in str(said[0].message)


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"update_freq": "day"}, "TensorBoard(update_freq='day'): expected 'epoch', 'batch' or a positive number"),
        ({"update_freq": 0}, "positive number of batches, got 0"),
        ({"profile_batch": (5, 2)}, "the last not before the first, got (5, 2)"),
        ({"profile_batch": 1.5}, "expected the number of a batch, or those of the first and the last, got 1.5"),
        ({"histogram_freq": -1}, "expected an integer >= 0, got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ValueError) as err:
        TensorBoard(**setting)
    assert message in str(err.value)


def test_tensorboard_itself_reads_the_same(tmp_path):
    module = "tensorboard.backend.event_processing.event_accumulator"
    accumulator = pytest.importorskip(module, reason="TensorBoard is not installed")
    from tensorboard.util import tensor_util

    fit(TensorBoard(tmp_path, histogram_freq=1, write_images=True, update_freq=2, hparams={"units": 3}))
    for name in ("", "train", "validation"):
        read = accumulator.EventAccumulator(str(tmp_path / name), size_guidance={"tensors": 0})
        read.Reload()
        found = [
            (tag, event.step, read.SummaryMetadata(tag).plugin_data.plugin_name,
             tensor_util.make_ndarray(event.tensor_proto))
            for tag in read.Tags()["tensors"]
            for event in read.Tensors(tag)
        ]  # fmt: skip
        ours = sorted(content(tmp_path / name), key=lambda one: one[:2])
        assert [one[:3] for one in ours] == [one[:3] for one in sorted(found, key=lambda one: one[:2])]
        for (*_, a), (*_, b) in zip(ours, sorted(found, key=lambda one: one[:2]), strict=True):
            assert a.dtype == b.dtype and np.array_equal(a, b)
