#!/bin/bash
# The terminal as a picture: what protlm answers to five mistakes, as docs/pictures/messages.svg.
#
#   tools/picture_messages.sh PROTLM > docs/pictures/messages.svg      needs script(1) of util-linux
set -eu

program=$(realpath "${1:-build/protlm}")
source=$(cd "$(dirname "$0")/.." && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
mkdir "$room/bin" "$room/here"
ln -s "$program" "$room/bin/protlm"
cd "$room/here"

printf 'id,sequence\nP1,MKTAYIAKQRQISFVKSHFSRQ\nP2,MEHQLLCCEVETIRRAYPD\n' >table.csv
printf '>a\nMKTAY\303\251IAKQ\n' >pasted.fasta
mkdir esm2
cp "$source/tests/fixtures/parity/d8/config.json" esm2
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 31384124\n' >esm2/model.safetensors
printf '>a\nMKTAYIAKQRQISFVKSHFSRQ\n' >good.fasta

# Each line is shown behind a prompt, and what it answers as on a terminal.
say() {
  printf '\033[1;32m$\033[0m %s\n' "$1"
  PATH=$room/bin:$PATH HOME=$room TERM=xterm COLUMNS=110 script -qec "$1" /dev/null </dev/null | tr -d '\r' | grep -v '^reading ' || true
  echo
}

paint() { # text with escapes, lines broken at 110 columns, as SVG
  LC_ALL=C.UTF-8 awk -v columns=110 '
    function put(text) { gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); return text }
    function emit() { lines[++count] = line; line = ""; used = 0 }
    {
      line = ""; used = 0; style = ""; rest = $0
      while (rest != "") {
        if (match(rest, /^\033\[[0-9;]*m/)) {
          code = substr(rest, 3, RLENGTH - 3); rest = substr(rest, RLENGTH + 1)
          style = code == "0" || code == "" ? "" : code ~ /31/ ? "e" : code ~ /32/ ? "p" : code ~ /33/ ? "w" : "b"
          continue
        }
        stop = match(rest, /\033/) ? RSTART - 1 : length(rest)
        if (used + stop > columns) { # at the last blank that fits
          stop = columns - used
          while (stop > 1 && substr(rest, stop + 1, 1) ~ /[\200-\277]/) stop-- # mawk counts bytes: no letter is cut in two
          for (i = stop; i > stop / 2; i--) if (substr(rest, i, 1) == " ") { stop = i; break }
          cut = 1
        } else cut = 0
        text = put(substr(rest, 1, stop)); rest = substr(rest, stop + 1); used += stop
        line = line (style != "" ? "<tspan class=\"" style "\">" text "</tspan>" : text)
        if (cut) emit()
      }
      emit()
    }
    END {
      while (lines[count] == "") count--
      height = 20 * count + 30
      printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"960\" height=\"%d\" viewBox=\"0 0 960 %d\" role=\"img\" aria-label=\"protlm answers to five mistakes\">\n", height, height
      print "<style>text { font: 14px ui-monospace, monospace; fill: #d8dee9; white-space: pre } .e { fill: #ff6b6b; font-weight: bold } .p { fill: #8fd694; font-weight: bold } .w { fill: #ffd166; font-weight: bold } .b { fill: #ffffff; font-weight: bold }</style>"
      printf "<rect width=\"960\" height=\"%d\" rx=\"8\" fill=\"#1d2129\"/>\n", height
      for (i = 1; i <= count; i++) if (lines[i] != "") printf "<text x=\"16\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", 12 + 20 * i, lines[i]
      print "</svg>"
    }'
}

{
  say "protlm inspect tokens --fasta table.csv"
  say "protlm inspect tokens --fasta pasted.fasta"
  say "protlm eval --model esm2 --data good.fasta"
  say "protlm train --model Rostlab/prot_t5_xl_uniref50 --train good.fasta --output-dir run"
  say "protlm train --model esm2_t6_8M --train good.fasta --output-dir run --fsdp full_shard"
} | paint
