"""The original network in Keras: a program of its own, run by `benchmarks.against_keras` in its own environment.

Written anew from the facts of the report: layers, loss, optimiser, batch size. Prints one line of JSON per epoch.

Usage: python keras_seed.py DIGITS.npz EPOCHS
"""

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class Sampling(layers.Layer):
    """loc + scale * noise."""

    def call(self, inputs):
        loc, log_var = inputs
        return loc + tf.exp(0.5 * log_var) * tf.random.normal(tf.shape(loc))


class VAE(keras.Model):
    """The VAE with its loss: summed binary cross-entropy plus summed KL divergence, mean over images."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.sampling = Sampling()
        self.mean_loss = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean_loss]

    def losses_of(self, x, training):
        loc, log_var = self.encoder(x, training=training)
        mean = self.decoder(self.sampling((loc, log_var)), training=training)
        distortion = tf.reduce_sum(keras.losses.binary_crossentropy(x, mean), axis=(1, 2))
        rate = -0.5 * tf.reduce_sum(1 + log_var - tf.square(loc) - tf.exp(log_var), axis=1)
        return distortion + rate

    def train_step(self, x):
        with tf.GradientTape() as tape:
            losses = self.losses_of(x, True)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.mean_loss.update_state(losses)
        return {"loss": self.mean_loss.result()}

    def test_step(self, x):
        self.mean_loss.update_state(self.losses_of(x, False))
        return {"loss": self.mean_loss.result()}


def build():
    x = keras.Input((28, 28, 1))
    h = x
    for filters in (8, 16):
        h = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(h)
        h = layers.BatchNormalization()(h)
    h = layers.Flatten()(h)
    h = layers.BatchNormalization()(layers.Dense(20, activation="relu")(h))
    encoder = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
    z = keras.Input((2,))
    h = layers.BatchNormalization()(layers.Dense(784, activation="relu")(z))
    h = layers.Reshape((7, 7, 16))(h)
    for filters in (16, 8):
        h = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(h)
        h = layers.BatchNormalization()(h)
    decoder = keras.Model(z, layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(h))
    assert encoder.count_params() == 17_208
    assert decoder.count_params() == 9_137
    return VAE(encoder, decoder)


def main():
    keras.utils.set_random_seed(0)
    epochs = int(sys.argv[2])
    with np.load(sys.argv[1]) as digits:
        train, validation = (digits[k].astype("float32")[..., None] / 255 for k in ("train", "validation"))
    model = build()
    model.compile(optimizer=keras.optimizers.Adam())
    print(json.dumps({"keras": keras.__version__, "tensorflow": tf.__version__}), flush=True)
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        history = model.fit(train, batch_size=128, verbose=0)
        seconds = time.perf_counter() - began
        validated = model.evaluate(validation, batch_size=2000, verbose=0, return_dict=True)
        total = time.perf_counter() - began
        record = {"epoch": epoch, "train_seconds": seconds, "seconds": total, "loss": history.history["loss"][-1]}
        print(json.dumps({**record, "validation_loss": validated["loss"]}), flush=True)


if __name__ == "__main__":
    main()
