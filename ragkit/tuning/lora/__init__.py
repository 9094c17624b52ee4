"""LoRA adapters on a language model: SFT, DPO and GRPO, their training, measuring and export to GGUF."""
