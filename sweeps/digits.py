#!/usr/bin/env python3
"""Train a small classifier of handwritten digits with scikit-learn: the program of digits.yaml.

It runs by itself, too: python3 digits.py --hidden 32 --noise 0.5. For colearn it has three additions, each optional:
curves and result are written to the file that COLEARN_METRICS names, and a checkpoint after every epoch lets a task
go on after an interruption.
"""

import argparse
import json
import os
import pickle

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--hidden", type=int, default=32, help="hidden units")
parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of the noise on training images")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()


def report(**values):
    """Append a line to colearn's file of metrics, if colearn runs this program."""
    if path := os.environ.get("COLEARN_METRICS"):
        with open(path, "a") as file:
            print(json.dumps(values), file=file)


images, labels = load_digits(return_X_y=True)
images = images / images.max()
train, test, train_labels, test_labels = train_test_split(images, labels, test_size=0.3, random_state=0)

checkpoint = os.path.join(os.environ.get("COLEARN_CHECKPOINT_DIR", ""), "digits.pickle")
if "COLEARN_CHECKPOINT_DIR" in os.environ and os.path.exists(checkpoint):
    with open(checkpoint, "rb") as file:
        epoch, model, random = pickle.load(file)
else:
    epoch, random = 0, np.random.default_rng(arguments.seed)
    model = MLPClassifier([arguments.hidden], random_state=arguments.seed)

while epoch < arguments.epochs:
    epoch += 1
    noise = random.normal(0.0, arguments.noise, train.shape)
    model.partial_fit(train + noise, train_labels, classes=np.arange(10))
    report(epoch=epoch, epochs=arguments.epochs, train_loss=model.loss_, test_loss=log_loss(test_labels, model.predict_proba(test)))
    if "COLEARN_CHECKPOINT_DIR" in os.environ:
        with open(checkpoint + ".new", "wb") as file:
            pickle.dump((epoch, model, random), file)
        os.replace(checkpoint + ".new", checkpoint)

accuracy, loss = model.score(test, test_labels), log_loss(test_labels, model.predict_proba(test))
print(f"accuracy={accuracy:.4f} loss={loss:.4f}")
report(result={"accuracy": accuracy, "loss": loss})
