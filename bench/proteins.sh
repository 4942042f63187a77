# shellcheck shell=bash
# Sourced: proteins for a benchmark.

# FILE DIRECTORY: prints FILE, else that of the workshop where it is there, else one of made-up proteins in DIRECTORY.
proteins() {
  local here
  here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
  local file
  for file in "$1" "$here/../../shared/data/train.fasta"; do
    [ -z "$file" ] || [ ! -f "$file" ] || { realpath "$file"; return; }
  done
  # Lengths as of real ones: log-normal around 300.
  awk 'BEGIN {
    srand(1); letters = "AAAAAAAACCDDDDDEEEEEEFFFFGGGGGGGHHIIIIIIKKKKKKLLLLLLLLLLMMNNNNPPPPPQQQQRRRRRRSSSSSSSTTTTTTVVVVVVVWYYY"
    for (i = 0; i < 6000; i++) {
      n = int(exp(5.5 + 0.7 * sqrt(-2 * log(1 - rand())) * cos(6.2831853 * rand())));
      n = n < 30 ? 30 : n > 2000 ? 2000 : n
      text = ""
      for (j = 0; j < n; j++) text = text substr(letters, 1 + int(rand() * length(letters)), 1)
      printf ">p%d\n%s\n", i, text
    }
  }' >"$2/proteins.fasta"
  echo "$2/proteins.fasta"
}
