"""A Keras VAE as its documentation writes it: a program of its own, run by `benchmarks.peers` in its own environment.

Usage: python peer_keras.py DIGITS.npz SETTINGS-AS-JSON
Prints one line of JSON per epoch, with the seconds spent in training alone; ends when these are spent.
"""

import json
import os
import resource
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class VAE(keras.Model):
    """784-512-2-512-784 with ReLU."""

    def __init__(self):
        super().__init__()
        x = keras.Input((784,))
        hidden = layers.Dense(512, activation="relu")(x)
        # Sums over pixels need float32, whatever the layers compute in.
        self.encoder = keras.Model(x, [layers.Dense(2, dtype="float32")(hidden) for _ in range(2)])
        z = keras.Input((2,))
        logits = layers.Dense(784, dtype="float32")(layers.Dense(512, activation="relu")(z))
        self.decoder = keras.Model(z, logits)
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean_loss]

    def losses_of(self, x):
        loc, log_var = self.encoder(x)
        logits = self.decoder(loc + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(loc)))
        distortion = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x, logits), axis=1)
        return distortion - 0.5 * tf.reduce_sum(1 + log_var - tf.square(loc) - tf.exp(log_var), axis=1)

    def train_step(self, x):
        with tf.GradientTape() as tape:
            losses = self.losses_of(x)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.mean_loss.update_state(losses)
        return {"loss": self.mean_loss.result()}

    def test_step(self, x):
        self.mean_loss.update_state(self.losses_of(x))
        return {"loss": self.mean_loss.result()}


def main():
    settings = json.loads(sys.argv[2])
    keras.utils.set_random_seed(0)
    if settings["bfloat16"]:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    with np.load(sys.argv[1]) as digits:
        train, validation = (digits[k].reshape(-1, 784).astype("float32") / 255 for k in ("train", "validation"))
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(settings["learning_rate"]), jit_compile=settings["compile"])
    seconds, images = 0.0, 0
    while seconds < settings["seconds"]:
        began = time.perf_counter()
        model.fit(train, batch_size=settings["batch"], verbose=0)
        seconds += time.perf_counter() - began
        images += len(train)
        loss = None
        if settings["validate"]:
            loss = model.evaluate(validation, batch_size=2000, verbose=0, return_dict=True)["loss"]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        line = {"seconds": seconds, "images": images, "validation_loss": loss, "peak_memory_mb": memory}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
