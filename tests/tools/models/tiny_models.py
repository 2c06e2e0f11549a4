"""Models of the real libraries, made small from a config and kept in a folder as a hub would give them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tools.consumer.noise import stir

WORDS = tuple("abcdefghijklmnopqrst")
UNKNOWN = "?"


def vision(folder: Path, kind: str, blocks: int = 4, patch: int = 8) -> str:
    """A vision transformer, or a ResNet, with its image processor."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    side = max(32, 2 * patch)
    if kind == "resnet":
        sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
        model = transformers.ResNetModel(transformers.ResNetConfig(layer_type="basic", **sizes))
    else:
        sizes = {
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "patch_size": patch,
            "image_size": 32,
        }
        name = {"dinov3": "DINOv3ViT", "dinov2": "Dinov2"}[kind]
        more = {"num_register_tokens": 4} if kind == "dinov3" else {}
        config = getattr(transformers, f"{name}Config")(num_hidden_layers=blocks, **sizes, **more)
        model = getattr(transformers, f"{name}Model")(config)
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": side, "width": side},
        "do_resize": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.2, 0.2, 0.2],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


def speech(folder: Path, kind: str) -> str:
    """A model of sounds with its feature extractor."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "whisper":
        sizes = {"d_model": 32, "encoder_layers": 4, "decoder_layers": 1, "num_mel_bins": 8, "max_source_positions": 50}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64}
        heads |= {
            "vocab_size": 64,
            "pad_token_id": 0,
            "decoder_start_token_id": 1,
            "bos_token_id": 1,
            "eos_token_id": 2,
        }
        model = transformers.WhisperModel(transformers.WhisperConfig(**sizes, **heads))
        reader = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    else:
        sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
        convolutions = {"conv_dim": (16, 16), "conv_kernel": (10, 3), "conv_stride": (5, 2)}
        convolutions |= {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
        config = getattr(transformers, {"wav2vec2": "Wav2Vec2Config", "hubert": "HubertConfig"}[kind])
        maker = getattr(transformers, {"wav2vec2": "Wav2Vec2Model", "hubert": "HubertModel"}[kind])
        model = maker(config(**sizes, **convolutions))
        reader = transformers.Wav2Vec2FeatureExtractor()
    model.save_pretrained(folder)
    reader.save_pretrained(folder)
    return str(folder)


def answering(folder: Path, kind: str) -> str:
    """A vision transformer with a head of seven classes, or Whisper with its decoder, whose answers differ."""
    transformers = pytest.importorskip("transformers")
    if kind == "whisper":
        name = speech(folder, kind)
        model = transformers.WhisperForConditionalGeneration(transformers.AutoConfig.from_pretrained(name))
    else:
        name = vision(folder, "dinov2")
        sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 4}
        config = transformers.ViTConfig(**sizes, patch_size=8, image_size=32, num_labels=7)
        model = transformers.ViTForImageClassification(config)
    stir(model, 0.3)
    model.save_pretrained(name)
    return name


def language(folder: Path, kind: str, blocks: int = 4) -> str:
    """A decoder with its tokenizer: a token a word."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": len(WORDS) + 1, "hidden_size": 32, "num_hidden_layers": blocks}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    if kind == "falconmamba":
        config = transformers.FalconMambaConfig(**shape, state_size=8, intermediate_size=64, time_step_rank=4)
        model = transformers.FalconMambaForCausalLM(config)
    elif kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, **heads))
    elif kind == "gemma3":
        types = [f"{('sliding', 'full')[block % 2]}_attention" for block in range(blocks)]
        config = transformers.Gemma3TextConfig(**shape, **heads, head_dim=16, sliding_window=64, layer_types=types)
        model = transformers.Gemma3ForCausalLM(config)
    else:
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shape, **heads, head_dim=16))
    model.to(torch.bfloat16).save_pretrained(folder)
    _tokenizer(transformers, tokenizers, 512).save_pretrained(folder)
    return str(folder)


def _tokenizer(transformers: Any, tokenizers: Any, length: int = 77) -> Any:
    words = {word: number for number, word in enumerate([UNKNOWN, *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=UNKNOWN))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    told = {"unk_token": UNKNOWN, "pad_token": UNKNOWN, "model_max_length": length}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **told)


def painter(folder: Path, *, control: bool = False) -> str:
    """Stable Diffusion 3 with all its parts, or with a ControlNet, too."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
    clips = [
        transformers.CLIPTextModelWithProjection(
            transformers.CLIPTextConfig(**shape, hidden_size=width, intermediate_size=32, projection_dim=width)
        )
        for width in (16, 24)
    ]
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=64, d_model=40, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )
    sizes: dict[str, Any] = {"sample_size": 8, "patch_size": 2, "in_channels": 16, "out_channels": 16}
    sizes |= {"attention_head_dim": 8, "num_attention_heads": 4, "joint_attention_dim": 40}
    sizes |= {"caption_projection_dim": 32, "pooled_projection_dim": 40}
    transformer = diffusers.SD3Transformer2DModel(**sizes, num_layers=2)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=2,
        sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.06,
        scaling_factor=1.5,
    )
    words = _tokenizer(transformers, tokenizers)
    parts = dict(zip(("text_encoder", "text_encoder_2", "text_encoder_3"), (*clips, t5), strict=True))
    parts |= dict.fromkeys(("tokenizer", "tokenizer_2", "tokenizer_3"), words)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    maker = diffusers.StableDiffusion3Pipeline
    if control:
        maker = diffusers.StableDiffusion3ControlNetPipeline
        parts["controlnet"] = diffusers.SD3ControlNetModel(**sizes, num_layers=1)
        for weights in parts["controlnet"].parameters():  # some begin with zeros, and would change nothing
            torch.nn.init.normal_(weights, std=0.2)
    made = maker(transformer=transformer, scheduler=scheduler, vae=vae, **parts)
    made.save_pretrained(folder)
    return str(folder)


def images(folder: Path, count: int) -> Path:
    """Pictures of several sizes."""
    pictures = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        pixels = torch.randint(256, (20 + number % 7, 30, 3), generator=draw, dtype=torch.uint8)
        pictures.fromarray(pixels.numpy()).save(folder / f"{number:03d}.png")
    return folder


def sounds(folder: Path, count: int) -> Path:
    """Sounds of several lengths, rates, channels and formats."""
    soundfile = pytest.importorskip("soundfile")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        rate, channels = (16_000, 8_000)[number % 2], 1 + number % 3 // 2
        values = 0.1 * torch.randn(rate // 8 + rate // 16 * (number % 4), channels, generator=draw)
        soundfile.write(folder / f"{number:03d}.{('wav', 'flac', 'ogg')[number % 3]}", values.numpy(), rate)
    return folder


def texts(folder: Path, count: int) -> Path:
    """Texts of several lengths, one of a single token."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        chosen = torch.randint(len(WORDS), (1 + number % 6,), generator=draw)
        (folder / f"{number:03d}.txt").write_text(" ".join(WORDS[place] for place in chosen.tolist()))
    return folder
