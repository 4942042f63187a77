/* file_summary.c - see file_summary.h. Contents: lengths, names and repeats, letters, what was changed. */
#include "app/file_summary.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/sort.h"

/* "812 (4.1 %)" */
static const char *count_and_share(int64_t part, int64_t whole, char ret_text[PLM_COUNTED_TEXT]) {
  char count[PLM_NUMBER_TEXT], share[PLM_NUMBER_TEXT];
  snprintf(ret_text, PLM_COUNTED_TEXT, "%s (%s)", plm_count_text(part, count),
           plm_share_text((double)part, (double)whole, share));
  return ret_text;
}

/* ---- lengths ---- */

/* The value below which a share `q` of the sorted ones lies, between neighbours in proportion (as numpy.quantile). */
static double quantile(const uint64_t *sorted, int64_t count, double q) {
  const double at = q * (double)(count - 1);
  const int64_t below = (int64_t)at, above = below + 1 < count ? below + 1 : below;
  return (double)sorted[below] + (at - (double)below) * ((double)sorted[above] - (double)sorted[below]);
}

/* `lengths` sorted. */
static void put_lengths(plm_text *out, const plm_dataset_info *info, const uint64_t *lengths) {
  static const struct {
    const char *name;
    double at;
  } points[] = {{"shortest", 0}, {"1st quartile", 0.25}, {"median", 0.5}, {"3rd quartile", 0.75}, {"longest", 1}};
  char number[PLM_NUMBER_TEXT];
  plm_text_append(out, "  lengths    ");
  for (size_t i = 0; i < sizeof points / sizeof *points; i++)
    plm_text_printf(out, "%s %s, ", points[i].name,
                    plm_number_digits(quantile(lengths, info->count, points[i].at), 10, number));
  plm_text_printf(out, "mean %.1f\n", (double)info->residues / (double)info->count);
}

static void put_longer(plm_text *out, const plm_dataset_info *info, const uint64_t *lengths, int64_t max_length,
                       int64_t specials) {
  const int64_t most = max_length - specials;
  int64_t longer = 0;
  char words[PLM_COUNTED_TEXT], limit[PLM_NUMBER_TEXT];
  for (int64_t i = info->count - 1; i >= 0 && lengths[i] > (uint64_t)most; i--) longer++;
  plm_text_printf(out, "  long       %s with more than %s residues, which --max-length %lld crops\n",
                  count_and_share(longer, info->count, words), plm_count_text(most, limit), (long long)max_length);
}

/* ---- names and repeats ---- */

static void put_names(plm_text *out, const plm_dataset *dataset) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  int64_t unnamed = 0;
  char none[PLM_COUNTED_TEXT], repeated[PLM_NUMBER_TEXT];
  for (int64_t i = 0; i < info->count; i++) unnamed += !plm_dataset_is_named(dataset, i);
  plm_text_printf(out, "  names      %s without a name, %s with a name that an earlier one has\n",
                  plm_counted(unnamed, "sequence", "sequences", none), plm_count_text(info->duplicate_names, repeated));
}

static plm_status put_repeats(plm_text *out, const plm_dataset *dataset) {
  const int64_t count = plm_dataset_count(dataset);
  int64_t repeats;
  char words[PLM_COUNTED_TEXT], different[PLM_NUMBER_TEXT];
  PLM_TRY(plm_dataset_count_repeats(dataset, &repeats));
  plm_text_printf(out, "  repeats    %s verbatim as an earlier one; %s different\n",
                  count_and_share(repeats, count, words), plm_count_text(count - repeats, different));
  return PLM_OK;
}

/* ---- letters ---- */

typedef struct letter {
  char letter;
  int64_t count;
} letter;

/* Either case together, most frequent first; returns how many there are. */
static int rank_letters(const int64_t histogram[256], letter ranked[256]) {
  int count = 0;
  for (int c = 1; c < 256; c++) {
    if (c >= 'a' && c <= 'z') continue;
    letter l = {.letter = (char)c, .count = histogram[c]};
    if (c >= 'A' && c <= 'Z') l.count += histogram[c - 'A' + 'a'];
    if (l.count == 0) continue;
    int at = count++;
    for (; at > 0 && ranked[at - 1].count < l.count; at--) ranked[at] = ranked[at - 1];
    ranked[at] = l;
  }
  return count;
}

static void put_letters(plm_text *out, const plm_dataset_info *info) {
  enum { COLUMNS = 3, MOST = 36 };
  letter ranked[256];
  const int count = rank_letters(info->histogram, ranked), shown = count < MOST ? count : MOST;
  const int rows = (shown + COLUMNS - 1) / COLUMNS;
  for (int row = 0; row < rows; row++) {
    plm_text_append(out, row == 0 ? "  letters  " : "           ");
    for (int i = row; i < shown; i += rows) {
      char name[8], words[PLM_COUNTED_TEXT];
      plm_text_printf(out, "  %s %-20s", plm_printable(&ranked[i].letter, 1, name, sizeof name),
                      count_and_share(ranked[i].count, info->residues, words));
    }
    while (out->length > 0 && out->data[out->length - 1] == ' ') out->data[--out->length] = '\0';
    plm_text_append(out, "\n");
  }
  if (shown < count)
    plm_text_printf(out, "             and %d other %s\n", count - shown,
                    plm_plural(count - shown, "character", "characters"));
}

/* ---- what was changed ---- */

typedef struct changes {
  plm_text *out;
  int count;
} changes;

static void put_change(void *user, const char *text) {
  changes *c = user;
  plm_text_printf(c->out, "  %s%s\n", c->count++ == 0 ? "reading    " : "           ", text);
}

/* ---- the page ---- */

static plm_status put_page(plm_text *out, const plm_dataset *dataset, const plm_alphabet *alphabet,
                           const plm_alphabet_policy *policy, int64_t max_length) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  uint64_t *lengths;
  char sequences[PLM_COUNTED_TEXT], residues[PLM_COUNTED_TEXT];
  changes reading = {.out = out};
  PLM_TRY(PLM_NEW(&lengths, info->count));
  for (int64_t i = 0; i < info->count; i++) lengths[i] = (uint64_t)plm_dataset_length(dataset, i);
  plm_sort_u64(lengths, (size_t)info->count);
  plm_text_printf(out, "  size       %s, %s\n", plm_counted(info->count, "sequence", "sequences", sequences),
                  plm_counted(info->residues, "residue", "residues", residues));
  put_lengths(out, info, lengths);
  put_longer(out, info, lengths, max_length, plm_alphabet_specials(alphabet));
  plm_free(lengths);
  put_names(out, dataset);
  PLM_TRY(put_repeats(out, dataset));
  put_letters(out, info);
  plm_dataset_report(dataset, alphabet, policy, put_change, &reading);
  if (reading.count == 0) put_change(&reading, "nothing was changed or left out");
  return PLM_OK;
}

plm_status plm_print_file_summary(const plm_output *output, const plm_dataset *dataset, const plm_alphabet *alphabet,
                                  const plm_alphabet_policy *policy, int64_t max_length) {
  plm_text text = {0};
  char *page = NULL;
  plm_status status = put_page(&text, dataset, alphabet, policy, max_length);
  if (status != PLM_OK) {
    plm_text_free(&text);
    return status;
  }
  PLM_TRY(plm_text_take(&text, &page));
  plm_print(output, "%s%s%s\n%s", plm_style(output, PLM_BOLD), plm_dataset_get_info(dataset)->source,
            plm_style(output, PLM_RESET), page);
  plm_free(page);
  return PLM_OK;
}
