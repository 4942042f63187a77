/* mask_view.c - see mask_view.h */
#include "app/mask_view.h"

#include <math.h>
#include <string.h>
#include <stdio.h>

#include "base/text.h"

enum { LIKELIEST = 5 };

/* The likeliest tokens, best first, by insertion; the lower id where two are equal. Returns how many there are. */
static int choose_likeliest(const float *logits, int64_t V, int64_t chosen[LIKELIEST]) {
  int count = 0;
  for (int64_t id = 0; id < V; id++) {
    int at = count < LIKELIEST ? count++ : LIKELIEST;
    while (at > 0 && logits[id] > logits[chosen[at - 1]]) {
      if (at < LIKELIEST) chosen[at] = chosen[at - 1];
      at--;
    }
    if (at < LIKELIEST) chosen[at] = id;
  }
  return count;
}

static void put_token(plm_text *out, const plm_alphabet *alphabet, int64_t id, double probability) {
  char shown[64]; /* tokens that a model adds are other people's words */
  if (id < alphabet->size)
    plm_text_printf(out, "  %s %.5f",
                    plm_printable(alphabet->tokens[id], strlen(alphabet->tokens[id]), shown, sizeof shown),
                    probability);
  else
    plm_text_printf(out, "  token %lld %.5f", (long long)id, probability);
}

static void put_place(plm_text *out, const plm_alphabet *alphabet, int64_t place, const float *logits, int64_t V) {
  int64_t chosen[LIKELIEST];
  const int count = choose_likeliest(logits, V, chosen);
  const double highest = (double)logits[chosen[0]];
  double total = 0;
  for (int64_t id = 0; id < V; id++) total += exp((double)logits[id] - highest);
  plm_text_printf(out, "%8lld ", (long long)place);
  for (int i = 0; i < count; i++) put_token(out, alphabet, chosen[i], exp((double)logits[chosen[i]] - highest) / total);
  plm_text_append(out, "\n");
}

void plm_print_masked(const plm_output *output, const plm_alphabet *alphabet, const plm_masked_sequence *sequence) {
  plm_text text = {0};
  int64_t masks = 0;
  char count[PLM_COUNTED_TEXT];
  for (int64_t i = 0; i < sequence->n; i++) {
    if (sequence->tokens[i] != alphabet->mask) continue;
    put_place(&text, alphabet, sequence->first_place + i, sequence->logits + i * sequence->V, sequence->V);
    masks++;
  }
  if (masks > 0 && text.status == PLM_OK)
    plm_print(output, "%s>%s%s  %s, each with the likeliest tokens and their probabilities\n%s",
              plm_style(output, PLM_BOLD), sequence->name, plm_style(output, PLM_RESET),
              plm_counted(masks, "<mask>", "<mask>", count), text.data);
  plm_text_free(&text);
}
