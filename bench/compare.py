#!/usr/bin/env python3
"""The table of bench/train_vs_pytorch.sh, and its record in bench/results/.

Usage:
    python bench/compare.py RESULTS_DIR RECORD.md --title TEXT --protlm BINARY

RESULTS_DIR holds, per round k, pytorch-k.json (printed by pytorch_train.py) and
protlm-k/log.jsonl. protlm's rate in a round is the harmonic mean of
`residues_per_s` over its logged steps without the first --skip-steps: steps
have equal token budgets, so that is residues over time.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "parity"))
from protlm_cli import read_log  # noqa: E402


def protlm_rate(directory, skip_steps):
    rates = [record["residues_per_s"] for record in read_log(directory)][skip_steps:]
    if not rates:
        sys.exit(f"{directory}/log.jsonl has no more than the {skip_steps} warm-up steps")
    return statistics.harmonic_mean(rates)


def read_rounds(directory, skip_steps):
    """[(PyTorch's JSON, protlm's rate)] in order."""
    rounds = []
    while (path := directory / f"pytorch-{len(rounds) + 1}.json").exists():
        peer = json.loads(path.read_text().splitlines()[-1])
        rounds.append((peer, protlm_rate(directory / f"protlm-{len(rounds) + 1}", skip_steps)))
    return rounds


def table(rounds):
    """Markdown lines: one row a round, then the medians."""
    rows = [(str(i), peer["residues_per_s"], ours) for i, (peer, ours) in enumerate(rounds, 1)]
    medians = [statistics.median(column) for column in list(zip(*rows))[1:]]
    lines = ["| round | PyTorch, residues/s | protlm, residues/s | ratio |", "|---|---|---|---|"]
    for name, theirs, ours in [*rows, ("**median**", *medians)]:
        lines.append(f"| {name} | {theirs:,.0f} | {ours:,.0f} | {ours / theirs:.2f} |")
    return lines


def cpu_name():
    try:
        return re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text()).group(1)
    except (OSError, AttributeError):
        return platform.machine()


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def conditions(peer, binary):
    """Markdown lines: what the numbers were measured on and with."""
    way = f"{peer['dtype']}{', torch.compile' if peer['compile'] else ''}, {peer['threads']} threads"
    here = Path(__file__).resolve().parent
    version = output_of(binary, "--version").partition("\n")[0]
    return [
        f"- date {datetime.date.today()}, commit {output_of('git', '-C', str(here), 'describe', '--always', '--dirty')}",
        f"- {cpu_name()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
        f"- {version}; PyTorch {peer['torch']}, "
        f"transformers {peer['transformers']}",
        f"- {peer['model']}, {way}, at most {peer['max_length']} tokens a sequence, "
        f"{peer['batch_tokens']} tokens a batch",
        f"- PyTorch's peak memory {peer['peak_rss_gib']} GiB",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("record", type=Path, help="Markdown file that the record is appended to")
    parser.add_argument("--title", required=True)
    parser.add_argument("--protlm", required=True)
    parser.add_argument("--skip-steps", type=int, default=3)
    options = parser.parse_args()
    rounds = read_rounds(options.results, options.skip_steps)
    if not rounds:
        sys.exit(f"no pytorch-1.json in {options.results}")
    lines = table(rounds)
    print("\n".join(lines))
    record = [f"## {options.title}", "", *conditions(rounds[0][0], options.protlm), "", *lines, ""]
    options.record.parent.mkdir(parents=True, exist_ok=True)
    with options.record.open("a") as file:
        file.write("\n".join(record) + "\n")


if __name__ == "__main__":
    main()
