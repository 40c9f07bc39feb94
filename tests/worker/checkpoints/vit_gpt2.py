"""ViT-GPT2 in small."""

from pathlib import Path

from tests.worker.checkpoints.checkpoint import Checkpoint, change, randomise, train_pieces


def build(path: Path) -> None:
    from transformers import (
        GPT2Config,
        GPT2Tokenizer,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
    )
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    vocabulary, merges = train_pieces(["<|endoftext|>"])
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=merges)
    end = tokenizer.eos_token_id
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        ViTConfig(
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            num_hidden_layers=2,
            image_size=32,
            patch_size=8,
        ),
        GPT2Config(
            vocab_size=len(tokenizer),
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=64,
            bos_token_id=end,
            eos_token_id=end,
        ),
    )
    config.decoder_start_token_id = config.pad_token_id = config.eos_token_id = end
    model = randomise(VisionEncoderDecoderModel(config=config), 0.4)
    model.generation_config.decoder_start_token_id = end
    model.generation_config.pad_token_id = model.generation_config.eos_token_id = end
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(path)
    # The real one was saved before there were image processors.
    change(path / "preprocessor_config.json", feature_extractor_type="ViTFeatureExtractor")
    change(path / "preprocessor_config.json", image_processor_type=None)


CHECKPOINTS = (Checkpoint("vit-gpt2", build),)
