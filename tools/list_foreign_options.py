#!/usr/bin/env python3
"""Lists the options of other programs that people bring to `protlm train`, one a line: name and default value, by program.

usage: tools/list_foreign_options.py > tests/cli/foreign_options.txt

Needs transformers, torch and accelerate. unit/test_train_options asks `protlm train` for each of the names, in both spellings: it is an
option here, or says what to use instead. Run it again when a new transformers is out; what it adds goes into
src/train/foreign_options.c.
"""
import dataclasses
import enum

import accelerate
import torch
import transformers
from accelerate.commands.launch import launch_command_parser
from torch.distributed.run import get_args_parser

# transformers/examples/pytorch/language-modeling/run_mlm.py: ModelArguments and DataTrainingArguments
RUN_MLM = """model_name_or_path model_type config_overrides config_name tokenizer_name cache_dir use_fast_tokenizer model_revision token
use_auth_token trust_remote_code torch_dtype low_cpu_mem_usage dataset_name dataset_config_name train_file validation_file overwrite_cache
validation_split_percentage max_seq_length preprocessing_num_workers mlm_probability line_by_line pad_to_max_length max_train_samples
max_eval_samples streaming"""

# the workshop's train_esm.py
TRAIN_ESM = "train_hdf5_file eval_hdf5_file out_dir model_name epochs batch_size steps lr eval_steps ddp"

# TrainingArguments of earlier transformers, still in many scripts
EARLIER = """warmup_ratio evaluation_strategy overwrite_output_dir logging_dir group_by_length no_cuda use_mps_device fp16_opt_level
fp16_backend half_precision_backend per_gpu_train_batch_size per_gpu_eval_batch_size save_safetensors torchdynamo ray_scope jit_mode_eval
use_ipex past_index adafactor sharded_ddp xpu_backend tpu_num_cores tpu_metrics_debug dispatch_batches split_batches push_to_hub_model_id
push_to_hub_organization push_to_hub_token include_tokens_per_second include_inputs_for_metrics
evaluate_during_training do_lower_case block_size"""


def show(title, options):
    print(f"\n# {title}")
    for name, default in options:
        print(f"{name} {default}".strip())


def words(text):
    return [(name, "") for name in text.split()]


def default_of(field):
    if field.default_factory is not dataclasses.MISSING:
        return ""
    value = field.default
    return value.value if isinstance(value, enum.Enum) else value


def of_parser(parser):
    names = {}
    for action in parser._actions:
        for spelling in action.option_strings:
            if spelling.startswith("--") and spelling != "--help":
                names[spelling[2:].replace("-", "_")] = action.default
    return sorted(names.items())


print("# Made by tools/list_foreign_options.py: options of other programs and their defaults.")
fields = dataclasses.fields(transformers.TrainingArguments)
show(f"TrainingArguments, transformers {transformers.__version__}", [(f.name, default_of(f)) for f in fields])
show("TrainingArguments of earlier versions", words(EARLIER))
show("run_mlm.py", words(RUN_MLM))
show("train_esm.py", words(TRAIN_ESM))
show(f"torchrun, torch {torch.__version__.split('+')[0]}", of_parser(get_args_parser()))
show(f"accelerate launch, accelerate {accelerate.__version__}", of_parser(launch_command_parser()))
