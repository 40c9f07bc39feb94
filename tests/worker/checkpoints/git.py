"""GIT in small."""

from pathlib import Path

from tests.worker.checkpoints.checkpoint import Checkpoint, randomise, write_vocabulary


def build(path: Path) -> None:
    from transformers import BertTokenizer, GitConfig, GitForCausalLM, GitProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = BertTokenizer(str(write_vocabulary(path)))
    size = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = GitConfig(
        **size,
        vocab_size=len(tokenizer),
        num_hidden_layers=2,
        max_position_embeddings=64,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        pad_token_id=tokenizer.pad_token_id,
        vision_config={**size, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8},
    )
    randomise(GitForCausalLM(config), 0.3).save_pretrained(path)
    pixels = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    GitProcessor(pixels, tokenizer).save_pretrained(path)


CHECKPOINTS = (
    Checkpoint("git-large", build, prompts=("a photo of", "a red dog in the old street")),
)
