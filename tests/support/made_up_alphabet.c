/* made_up_alphabet.c - see made_up_alphabet.h */
#include "support/made_up_alphabet.h"

#include "support/unit.h"

static const char *const tokens[] = {
    "Y", "C", "[PAD]", "D", "E", "F", "[CLS]", "G",     "H", "I", "K", "L", "-",      "M",
    "N", "P", "[SEP]", "Q", "R", "S", "T",     "[UNK]", "V", "W", "U", "A", "[MASK]",
};

const plm_alphabet *made_up_alphabet(void) {
  static const plm_alphabet alphabet = {
      .name = "made-up",
      .size = sizeof tokens / sizeof *tokens,
      .tokens = tokens,
      .pad = 2,
      .unk = 21,
      .mask = 26,
      .frame = {.opens = 6, .closes = 16, .every_window = true},
      .standard_count = 20,
      .standard = {0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20, 22, 23, 25},
      .tokenizer = "BertTokenizer",
  };
  if (plm_alphabet_find("made-up") == NULL) assert_ok(plm_alphabet_register(&alphabet));
  return plm_alphabet_find("made-up");
}
