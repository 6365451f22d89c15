"""Trains a sweep with the reference networks in PyTorch under Ray Tune, as `colearn run` trains it.

    python trainer/benches/sweep_reference.py JOB.json RESULTS.json

`sweep.py` writes the job: resolved settings, tasks, the data set. Two trials run at a time with one thread each, in
actors that are reused; each trial reports every epoch. The loop is colearn's: shuffled once, modalities dropped by
batch, validated on the primary modality alone after each epoch, the best weights tested. No checkpoints are written,
which colearn does. Needs ray[tune], torch and safetensors; everything stays on the loopback address.
"""

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

# Before Ray is loaded: nothing is sent to its makers, and no files are written for other tools.
os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}

import ray  # noqa: E402
import torch  # noqa: E402
from ray import tune  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import pytorch_networks  # noqa: E402
from subjects import BiEflstmSubject, Modality  # noqa: E402

SLOTS = 2
# Samples that are evaluated at a time, as in colearn.
CHUNK = 256
# Ray's least memory for shared objects; none are shared here.
OBJECT_STORE = 80 * 1024 * 1024


class Data:
    """A data set whose primary modality has the first columns; features are [T, N, F]."""

    def __init__(self, path: str, primary: str):
        tensors = load_file(path)
        names = sorted({name.split("/")[1] for name in tensors} - {"labels"}, key=lambda name: (name != primary, name))
        self.modalities = tuple(Modality(tensors[f"train/{name}"].shape[2]) for name in names)
        self.primary = self.modalities[0].features
        self.features, self.labels = {}, {}
        for split in ("train", "valid", "test"):
            parts = torch.cat([tensors[f"{split}/{name}"] for name in names], dim=2)
            self.features[split] = parts.transpose(0, 1).contiguous()
            self.labels[split] = tensors[f"{split}/labels"]
        self.alone = {split: self.primary_alone(self.features[split]) for split in ("valid", "test")}

    def primary_alone(self, features: torch.Tensor) -> torch.Tensor:
        """A copy in which the other modalities are zero."""
        alone = features.clone()
        alone[:, :, self.primary :] = 0
        return alone


class Task:
    """A network in training."""

    def __init__(self, data: Data, settings: dict, task: dict):
        torch.manual_seed(task["seed"])
        self.data, self.settings, self.task = data, settings, task
        classes = int(data.labels["train"].max()) + 1
        self.network = pytorch_networks.network(
            BiEflstmSubject(
                data.modalities,
                outputs=classes,
                samples=settings["training.batch_size"],
                steps=data.features["train"].shape[0],
                hidden=settings["model.hidden"],
                layers=settings["model.layers"],
                dropout=settings["model.dropout"],
            )
        )
        self.adam = torch.optim.Adam(
            self.network.parameters(),
            lr=settings["training.learning_rate"],
            betas=(settings["training.beta1"], settings["training.beta2"]),
        )
        order = torch.randperm(len(data.labels["train"]))
        self.features, self.labels = data.features["train"][:, order], data.labels["train"][order]
        self.best_loss, self.best = float("inf"), {}

    def epoch(self) -> tuple[float, float, float]:
        """Trains an epoch; returns the training loss, the validation loss and the validation accuracy."""
        self.network.train()
        batch, losses = self.settings["training.batch_size"], torch.zeros(())
        batches = len(self.labels) // batch
        draws = torch.rand(batches).tolist()
        for number in range(batches):
            part = slice(number * batch, (number + 1) * batch)
            x = self.features[:, part]
            if self.task["unimodal"] or draws[number] < self.task["level"]:
                x = self.data.primary_alone(x)
            self.adam.zero_grad()
            loss = pytorch_networks.loss(self.network(x), self.labels[part])
            loss.backward()
            self.adam.step()
            losses += loss.detach()
        loss, accuracy = self.evaluate("valid")
        if loss <= self.best_loss:
            self.best_loss = loss
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}
        return float(losses) / batches, loss, accuracy

    def test(self) -> float:
        """The accuracy of the best epoch on the test split; like colearn, evaluates the validation split too."""
        self.network.load_state_dict(self.best)
        self.evaluate("valid")
        return self.evaluate("test")[1]

    @torch.no_grad()
    def evaluate(self, split: str) -> tuple[float, float]:
        """Mean loss and accuracy on the primary modality alone."""
        self.network.eval()
        features, labels = self.data.alone[split], self.data.labels[split]
        loss = hits = 0.0
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            outputs = self.network(features[:, part])
            loss += float(pytorch_networks.loss(outputs, labels[part])) * len(labels[part])
            hits += float((outputs.argmax(1) == labels[part]).sum())
        return loss / len(labels), hits / len(labels)


class Trial(tune.Trainable):
    """A task as Ray Tune trains it: one step is an epoch."""

    def setup(self, config: dict, job: dict) -> None:
        torch.set_num_threads(1)
        self.job = job
        self.data = Data(job["data"], job["settings"]["primary"])
        self.reset_config(config)

    def reset_config(self, config: dict) -> bool:
        self.begun = time.time()
        self.training = Task(self.data, self.job["settings"], config["task"])
        return True

    def step(self) -> dict:
        train_loss, valid_loss, valid_accuracy = self.training.epoch()
        result = {"train_loss": train_loss, "valid_loss": valid_loss, "valid_accuracy": valid_accuracy}
        # `iteration` counts the steps before this one.
        if self.iteration + 1 >= self.job["settings"]["training.epochs"]:
            result |= {"done": True, "accuracy": self.training.test()}
            result |= {"finished_at": time.time(), "seconds": time.time() - self.begun}
        return result


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        ray.init(
            num_cpus=SLOTS,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(Trial, job=job), {"cpu": 1}),
            param_space={"task": tune.grid_search(job["tasks"])},
            tune_config=tune.TuneConfig(max_concurrent_trials=SLOTS, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=f"{folder}/results",
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            ),
        )
        trials = tuner.fit()
        if trials.errors:
            raise SystemExit(f"{len(trials.errors)} trials failed: {trials.errors[0]}")
        kept = ("accuracy", "valid_loss", "finished_at", "seconds", "training_iteration")
        results = [{"task": trial.config["task"], **{key: trial.metrics[key] for key in kept}} for trial in trials]
        ray.shutdown()
    Path(sys.argv[2]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
