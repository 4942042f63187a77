/* data_options.c - see data_options.h */
#include "train/data_options.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "data/read/sequence_file.h"
#include "data/windows.h"
#include "protlm/log.h"

plm_alphabet_policy plm_data_policy(const plm_data_options *options) {
  plm_alphabet_policy policy = plm_alphabet_policy_from_words(options->lowercase, options->on_invalid);
  policy.masks = options->masks;
  return policy;
}

plm_status plm_data_open(const plm_data_options *options, const plm_string_list *paths, const plm_data_reader *reader,
                         plm_dataset **ret_dataset) {
  const plm_dataset_options data = {
      .paths = {paths->items, paths->count},
      .cache_directory = options->cache_dir,
      .policy = plm_data_policy(options),
      .threads = reader->threads,
      .interrupted = reader->interrupted,
      .hdf5_dataset = options->hdf5_dataset,
      .hdf5_ids = options->hdf5_ids,
      .hdf5_reader = reader->program,
  };
  return reader->packed != NULL ? plm_dataset_open_packed(&data, reader->packed, ret_dataset)
                                : plm_dataset_open(&data, ret_dataset);
}

static void warn_of_nucleotides(const plm_dataset_info *info) {
  int percent;
  if (!plm_dataset_looks_like_nucleotides(info, &percent)) return;
  plm_warn(
      "%s: %d %% of the letters are A, C, G, T, U or N: these look like nucleotides (DNA or RNA), and are read as "
      "amino acids; translate them to proteins first, or, if they are proteins, silence this with "
      "--alphabet-check off",
      info->source, percent);
}

static void warn_of_nan(const plm_dataset *dataset) {
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  const int64_t times = info->notes.kinds[PLM_NOTE_NAN].count;
  char counted[PLM_COUNTED_TEXT], place[PLM_PLACE_TEXT];
  if (times <= 0) return;
  plm_dataset_note_place(dataset, PLM_NOTE_NAN, place);
  plm_warn(
      "%s: 'nan' in lower case stands among upper-case letters %s%s%s: a missing value that was joined to a "
      "sequence? It is read as residues N, A, N",
      info->source, plm_counted(times, "time", "times", counted), place[0] != '\0' ? ", first in " : "", place);
}

static void warn_of_compression(const plm_dataset_info *info) {
  const plm_noted *cut = &info->notes.kinds[PLM_NOTE_CUT_BLOCKS], *behind = &info->notes.kinds[PLM_NOTE_BYTES_BEHIND];
  char counted[PLM_COUNTED_TEXT];
  if (cut->count > 0)
    plm_warn(
        "%s: bgzip's end mark is missing. All blocks that are there are whole, and their text, %s, ends with a whole "
        "line: it is read; but blocks after them may have been cut off",
        info->source, plm_counted(cut->first.line, "line", "lines", counted));
  if (behind->count > 0)
    plm_warn("%s: %s after the compressed data %s no gzip data and %s left out, as gzip does", info->source,
             plm_counted(behind->count, "byte", "bytes", counted), plm_plural(behind->count, "is", "are"),
             plm_plural(behind->count, "is", "are"));
}

void plm_data_warn(const plm_data_options *options, const plm_dataset *dataset) {
  warn_of_compression(plm_dataset_get_info(dataset));
  if (strcmp(options->alphabet_check, "off") != 0) warn_of_nucleotides(plm_dataset_get_info(dataset));
  warn_of_nan(dataset);
}

static bool has_hdf5(const plm_string_list *paths) {
  plm_sequence_format format;
  for (int i = 0; paths != NULL && i < (int)paths->count; i++)
    if (plm_sequence_file_format(paths->items[i], &format) == PLM_OK && format == PLM_FORMAT_HDF5) return true;
  return false;
}

void plm_data_warn_of_unused(const plm_data_options *options, const plm_string_list *paths,
                             const plm_string_list *opt_more) {
  const bool has_dataset = options->hdf5_dataset != NULL && options->hdf5_dataset[0] != '\0';
  const bool has_ids = options->hdf5_ids != NULL && options->hdf5_ids[0] != '\0';
  if ((!has_dataset && !has_ids) || has_hdf5(paths) || has_hdf5(opt_more)) return;
  plm_warn("%s%s%s %s not used: no sequence file is HDF5", has_dataset ? "--hdf5-dataset" : "",
           has_dataset && has_ids ? " and " : "", has_ids ? "--hdf5-ids" : "", has_dataset && has_ids ? "are" : "is");
}

void plm_data_log(const plm_data_options *options, const plm_dataset *dataset, const plm_alphabet *alphabet) {
  const plm_alphabet_policy policy = plm_data_policy(options);
  plm_dataset_log(dataset, alphabet, &policy);
  plm_data_warn(options, dataset);
}

/* ---- what a model is shown of it ---- */

/* "20,000 training sequences" */
static const char *count_sequences(const plm_windows *w, const plm_data_showing *showing, char *ret_text, size_t room) {
  char count[PLM_NUMBER_TEXT];
  snprintf(ret_text, room, "%s %s%s", plm_count_text(w->sequences, count), showing->side,
           plm_plural(w->sequences, "sequence", "sequences"));
  return ret_text;
}

static void put_crops(const plm_windows *w, const plm_data_showing *showing, char *ret_text, size_t room) {
  char cropped[PLM_NUMBER_TEXT], all[64], window[PLM_NUMBER_TEXT], share[PLM_NUMBER_TEXT];
  const char *verb = plm_plural(w->cropped, "is", "are");
  snprintf(ret_text, room,
           "%s of %s %s longer than --max-length %lld and %s cropped to at most %s residues, %s %s of all residues",
           plm_count_text(w->cropped, cropped), count_sequences(w, showing, all, sizeof all), verb,
           (long long)showing->max_length, verb, plm_count_text(w->longest_window, window),
           showing->is_fixed ? "the same ones each time: that leaves" : "anew each epoch; an epoch sees",
           plm_share_text(w->shown, (double)w->residues, share));
}

void plm_data_report_crops(const plm_view *view, const plm_alphabet *alphabet, const plm_data_showing *showing,
                           void (*line)(void *user, const char *text), void *user) {
  plm_windows windows;
  char text[320];
  plm_windows_count(view, alphabet, showing->max_length, 0, &windows);
  if (windows.cropped == 0) return;
  put_crops(&windows, showing, text, sizeof text);
  line(user, text);
}

static void warn_of_few(const plm_windows *w, const plm_data_showing *showing, const char *source) {
  char all[64], few[PLM_NUMBER_TEXT], share[PLM_NUMBER_TEXT], probability[PLM_NUMBER_TEXT];
  plm_warn(
      "%s: --mask-probability %s is less than one residue in %s of %s; one is predicted in each all the same, "
      "so that it is about %s of all residues",
      source, plm_number_text(showing->mask_probability, probability), plm_count_text(w->under_one, few),
      count_sequences(w, showing, all, sizeof all), plm_share_text(w->selected, w->shown, share));
}

void plm_data_log_showing(const plm_view *view, const plm_alphabet *alphabet, const plm_data_showing *showing) {
  const char *source = plm_dataset_get_info(view->dataset)->source;
  plm_windows w;
  char text[320];
  plm_windows_count(view, alphabet, showing->max_length, showing->mask_probability, &w);
  if (w.cropped > 0) {
    put_crops(&w, showing, text, sizeof text);
    plm_info("%s: %s", source, text);
  }
  if (2 * w.under_one > w.sequences) warn_of_few(&w, showing, source);
}
