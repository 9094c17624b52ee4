"""Tasks defined by examples: classify an input, extract fields from it, or generate a text for it.

A task is stored in a folder with its pool of examples. ``Classifier.fit("folder", examples)``, then ``predict([...])``;
later ``Classifier.open("folder")``.
"""

from ragkit.tasks.base import Explanation, FitBudget
from ragkit.tasks.classifier import Classifier, Prediction
from ragkit.tasks.classifier_options import ClassifierOptions
from ragkit.tasks.extractor import Extractor
from ragkit.tasks.fitting import FitReport, Trial
from ragkit.tasks.generator import Generator
from ragkit.tasks.shot_prompts import ShotSetting

__all__ = [
    "Classifier",
    "ClassifierOptions",
    "Explanation",
    "Extractor",
    "FitBudget",
    "FitReport",
    "Generator",
    "Prediction",
    "ShotSetting",
    "Trial",
]
