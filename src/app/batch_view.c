/* batch_view.c
 *
 *   in colour        red: behind <mask>   yellow: replaced, the replacement is shown after the original   green:
 *                    predicted, left as it is
 *   without colour   [L]                  [L>A]                                                           (L)
 */
#include "app/batch_view.h"

#include <string.h>

#include "base/text.h"

enum { LINE_RESIDUES = 60 };

typedef enum fate { NOT_PREDICTED, MASKED, REPLACED, KEPT } fate;

static fate fate_of(const plm_packed *packed, const plm_alphabet *alphabet, int64_t row) {
  int32_t seen = packed->batch.encoder.tokens[row];
  if (packed->labels[row] < 0) return NOT_PREDICTED;
  return seen == alphabet->mask ? MASKED : seen == packed->original[row] ? KEPT : REPLACED;
}

static void put_residue(plm_text *out, const plm_output *output, const plm_packed *packed, const plm_alphabet *alphabet,
                        int64_t row) {
  static const char *const colour[] = {[MASKED] = PLM_RED, [REPLACED] = PLM_YELLOW, [KEPT] = PLM_GREEN};
  const char *was = alphabet->tokens[packed->original[row]],
             *seen = alphabet->tokens[packed->batch.encoder.tokens[row]];
  fate f = fate_of(packed, alphabet, row);
  if (f == NOT_PREDICTED)
    plm_text_append(out, was);
  else if (f == REPLACED)
    plm_text_printf(out, output->colour ? "%s%s>%s%s" : "%s[%s>%s]%s", plm_style(output, colour[f]), was, seen,
                    plm_style(output, PLM_RESET));
  else if (output->colour)
    plm_text_printf(out, "%s%s%s", colour[f], was, PLM_RESET);
  else
    plm_text_printf(out, f == MASKED ? "[%s]" : "(%s)", was);
}

/* Rows first..end-1 are a sequence; specials are left out, they are never predicted. */
static void put_sequence(plm_text *out, const plm_output *output, const plm_packed *packed,
                         const plm_alphabet *alphabet, int64_t s) {
  const plm_tokens *t = &packed->batch.encoder;
  int64_t in_line = 0;
  for (int64_t row = t->cu_seqlens[s]; row < t->cu_seqlens[s + 1]; row++) {
    int32_t token = packed->original[row];
    if (plm_alphabet_is_framing(alphabet, token)) continue;
    int64_t place = t->crop_offset[s] + (row - t->cu_seqlens[s]) + (alphabet->frame.opens < 0); /* counted from 1 */
    if (in_line == LINE_RESIDUES) plm_text_append(out, "\n");
    if (in_line == LINE_RESIDUES) in_line = 0;
    if (in_line == 0) plm_text_printf(out, "%8lld  ", (long long)place);
    put_residue(out, output, packed, alphabet, row);
    in_line++;
  }
  plm_text_append(out, "\n");
}

static void put_title(plm_text *out, const plm_output *output, const plm_dataset *dataset, const plm_packed *packed,
                      const plm_alphabet *alphabet, int64_t s) {
  const plm_tokens *t = &packed->batch.encoder;
  int64_t id = t->sequence_id[s], length = plm_dataset_length(dataset, id), predicted = 0;
  char name[256];
  plm_dataset_name(dataset, id, name, sizeof name);
  for (int64_t row = t->cu_seqlens[s]; row < t->cu_seqlens[s + 1]; row++) predicted += packed->labels[row] >= 0;
  plm_text_printf(out, "%s>%s%s  %lld %s, %lld predicted", plm_style(output, PLM_BOLD), name,
                  plm_style(output, PLM_RESET), (long long)length, plm_plural(length, "residue", "residues"),
                  (long long)predicted);
  if (t->cu_seqlens[s + 1] - t->cu_seqlens[s] < length + plm_alphabet_specials(alphabet))
    plm_text_append(out, ", a window of it");
  plm_text_append(out, "\n");
}

static void put_legend(plm_text *out, const plm_output *output) {
  if (output->colour)
    plm_text_printf(out, "%sbehind <mask>%s, %sreplaced>by%s, %spredicted but left as it is%s\n", PLM_RED, PLM_RESET,
                    PLM_YELLOW, PLM_RESET, PLM_GREEN, PLM_RESET);
  else
    plm_text_append(out, "[L] behind <mask>, [L>A] replaced by A, (L) predicted but left as it is\n");
}

void plm_print_batch(const plm_output *output, const plm_dataset *dataset, const plm_alphabet *alphabet,
                     const plm_packed *packed, int64_t step, int64_t epoch, int64_t records) {
  const plm_tokens *t = &packed->batch.encoder;
  const int64_t shown = records < t->S ? records : t->S,
                predicted = packed->batch.objective_count > 0 ? packed->batch.objectives[0].M : 0;
  char tokens[PLM_COUNTED_TEXT], rows[PLM_NUMBER_TEXT];
  plm_print(output, "step %lld, epoch %lld: %lld %s, %s, %s predicted\n", (long long)step, (long long)epoch,
            (long long)t->S, plm_plural(t->S, "sequence", "sequences"), plm_counted(t->N, "token", "tokens", tokens),
            plm_count_text(predicted, rows));
  for (int64_t s = -1; s < shown; s++) { /* -1: the legend */
    plm_text text = {0};
    if (s < 0) put_legend(&text, output);
    if (s >= 0) put_title(&text, output, dataset, packed, alphabet, s);
    if (s >= 0) put_sequence(&text, output, packed, alphabet, s);
    if (text.status == PLM_OK) plm_print(output, "%s", text.data);
    plm_text_free(&text);
  }
  if (shown < t->S)
    plm_print(output, "... and %lld more: --records %lld shows all\n", (long long)(t->S - shown), (long long)t->S);
}
