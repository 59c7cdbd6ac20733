"""A stage trains on augmented batches, and what it asks for reaches them."""

import dataclasses

import pandas as pd
from conftest import small_model, small_training

from stfn_keras.data import pipeline
from stfn_keras.training.train import train


def test_a_stage_takes_its_augmentation(dataset, tmp_path, monkeypatch):
    """Class weights beside it: they are blended with the labels."""
    asked = []

    def augmented(inputs, seed, **settings):
        asked.append(settings)
        return augment(inputs, seed, **settings)

    augment = pipeline.augmented
    monkeypatch.setattr(pipeline, "augmented", augmented)
    pixels = dataclasses.replace(
        small_training().rgb, epochs=1, randaugment=2, magnitude=7.0, erase=0.5,
        mixup=4.0,
    )  # fmt: skip
    training = small_training(rgb=pixels, stages=("rgb",), class_weights="balanced")
    run = train(dataset, tmp_path / "run", small_model(network="spatial"), training)
    history = pd.read_csv(run.folder / "history.csv")
    assert list(history["stage"]) == ["rgb"]
    assert history["loss"].notna().all()
    assert {"operations": 2, "magnitude": 7.0, "erase": 0.5} in asked
