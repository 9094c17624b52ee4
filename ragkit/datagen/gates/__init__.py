"""Gates decide which generated rows are kept, without asking a model to judge them. One file per gate."""

from ragkit.datagen.gates.base import Gate, GateScore, apply, measure, passage_of
from ragkit.datagen.gates.calibration import Calibration, QualityGate, calibrate, with_quality
from ragkit.datagen.gates.corruptions import Corruption, plant
from ragkit.datagen.gates.duplicates import DuplicatesGate
from ragkit.datagen.gates.form import FormGate
from ragkit.datagen.gates.reading import RowReader
from ragkit.datagen.gates.retrieval import RetrievalGate
from ragkit.datagen.gates.self_contained import SelfContainedGate
from ragkit.datagen.gates.specific_words import SpecificWordsGate
from ragkit.datagen.gates.standard import standard_gates

__all__ = [
    "Calibration",
    "Corruption",
    "DuplicatesGate",
    "FormGate",
    "Gate",
    "GateScore",
    "QualityGate",
    "RetrievalGate",
    "RowReader",
    "SelfContainedGate",
    "SpecificWordsGate",
    "apply",
    "calibrate",
    "measure",
    "passage_of",
    "plant",
    "standard_gates",
    "with_quality",
]
