/* dataset.c - opening sequences: a packed file as it is, or one that is found in a cache, or one that is made now.
 *
 * Read plm_dataset_open at the end first. Chapters: sequence_file.c, fasta.c, hdf5_file.c, hdf5_process.c (reading),
 * sequence_sink.c and sequence_text.c (letters), dataset_report.c (what it came to), plmd_write.c, plmd_read.c (the packed form), dataset_cache.c (where it lies).
 */
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "data/dataset_cache.h"
#include "data/read/foreign_file.h"
#include "data/plmd_read.h"
#include "data/read/sequence_file.h"
#include "protlm/log.h"

/* Everything about one call of plm_dataset_open. */
typedef struct opening {
  const plm_dataset_options *options;
  plm_cache_key key;
  char *words; /* the sources, for messages: "a.fasta, b.fasta" */
  plm_note_sources sources;
} opening;

/* ---- making ---- */

static plm_status nothing_left(const opening *o, const plm_reading_notes *notes) {
  const int64_t skipped = notes->kinds[PLM_NOTE_SKIPPED].count, empty = notes->kinds[PLM_NOTE_EMPTY].count;
  const int64_t placeholders = notes->kinds[PLM_NOTE_PLACEHOLDERS].count;
  char count[PLM_NUMBER_TEXT];
  if (skipped > 0)
    return plm_fail(PLM_E_INPUT, "%s: no sequence is left: %s %s left out for characters that are no amino acids",
                    o->words, plm_count_text(skipped, count), skipped == 1 ? "was" : "were");
  if (placeholders > 0)
    return plm_fail(PLM_E_INPUT,
                    "%s: no sequence: %s %s a placeholder (\"Sequence unavailable\", \"nan\", ...) where its sequence "
                    "should be",
                    o->words, plm_count_text(placeholders, count), placeholders == 1 ? "record has" : "records have");
  if (empty > 0)
    return plm_foreign_file_header_hint(
        o->options->paths.items[0],
        plm_fail(PLM_E_INPUT, "%s: no sequence: %s%s%s empty (names without residues)", o->words,
                 empty == 1 ? "its one" : "all ", empty == 1 ? "" : plm_count_text(empty, count),
                 empty == 1 ? " record is" : " records are"));
  return plm_fail(PLM_E_INPUT, "%s: no sequence: there is nothing in it", o->words);
}

static plm_status combined(const char *path) {
  return plm_hint(plm_fail(PLM_E_USAGE, "%s: a packed file (.plmd) cannot be combined with other files", path),
                  "give it alone");
}

/* Looked at again here: it may be another file by now. */
static plm_status read_source(const plm_dataset_options *options, const char *path, plm_sequence_sink *sink) {
  plm_sequence_format format;
  PLM_TRY(plm_sequence_file_format(path, &format));
  const plm_hdf5_selection selection = {.dataset = options->hdf5_dataset, .ids = options->hdf5_ids};
  if (format == PLM_FORMAT_PLMD) return combined(path);
  return format == PLM_FORMAT_HDF5 ? plm_hdf5_read(path, &selection, options->hdf5_reader, sink)
                                   : plm_fasta_read(path, options->threads, sink);
}

static plm_status read_sources(const opening *o, plm_packed_file_writer *writer, plm_reading_notes *ret_notes) {
  plm_status status = PLM_OK;
  plm_sequence_sink *sink = NULL;
  PLM_TRY(PLM_NEW(&sink, 1));
  plm_sequence_sink_init(sink, writer, o->options->policy.invalid);
  const plm_dataset_options *options = o->options;
  sink->interrupted = options->interrupted;
  sink->keep_masks = options->policy.masks;
  for (size_t i = 0; i < options->paths.count; i++) {
    sink->place = (plm_place){.source = (uint16_t)(i < UINT16_MAX ? i : UINT16_MAX)};
    PLM_TRY_GOTO(read_source(options, options->paths.items[i], sink), done);
  }
  *ret_notes = sink->notes;
  if (plm_packed_file_writer_count(writer) == 0) status = nothing_left(o, &sink->notes);
done:
  plm_sequence_sink_clear(sink);
  plm_free(sink);
  return status;
}

/* A source that somebody is still writing would leave half of it in the cache for good. */
static plm_status check_unchanged(const opening *o) {
  plm_cache_key now;
  PLM_TRY(plm_cache_key_of(o->options, &now));
  if (!o->key.cacheable || now.key == o->key.key) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: changed while it was read", o->words),
                  "run again when nothing writes to it any more");
}

/* Fill the packed file at `temporary`, whose writer is open, and give it its name; without a cache it is opened and
 * loses its name. */
static plm_status make(const opening *o, plm_packed_file_writer *writer, const char *temporary, const char *path,
                       plm_dataset **ret_dataset) {
  plm_reading_notes notes;
  double start = plm_clock_monotonic();
  plm_info("reading %s", o->words);
  plm_status status = read_sources(o, writer, &notes);
  if (status == PLM_OK) status = check_unchanged(o);
  if (status != PLM_OK) {
    plm_packed_file_writer_abandon(writer);
    return status;
  }
  const bool has_masks = o->options->policy.masks && notes.kinds[PLM_NOTE_MASK_TOKENS].count > 0;
  const bool kept = o->key.cacheable && !has_masks;
  const plm_packed_origin origin = {
      .notes = &notes,
      .source_key = kept ? o->key.key : 0,
      .sources = o->sources,
  };
  PLM_TRY(plm_packed_file_writer_close(writer, &origin));
  const char *made = kept ? path : temporary;
  if (kept) {
    status = plm_file_rename(temporary, path);
    if (status != PLM_OK) {
      plm_error_record first;
      plm_error_take(status, &first);
      if (plm_file_remove(temporary) != PLM_OK) plm_debug("%s", plm_error_message());
      return plm_error_give(&first);
    }
  }
  PLM_TRY_GOTO(plm_packed_file_open(made, o->words, &o->sources, ret_dataset), done);
  plm_debug("packed form made in %.1f s: %s", plm_clock_monotonic() - start, made);
done:
  if (!kept && plm_file_remove(temporary) != PLM_OK) plm_debug("%s", plm_error_message());
  return status;
}

/* *ret_made: a packed file could be begun in this directory, so this is where it is or fails. */
static plm_status make_in(const opening *o, const char *directory, bool *ret_made, plm_dataset **ret_dataset) {
  plm_status status = PLM_OK;
  plm_packed_file_writer *writer = NULL;
  char *path = NULL, *temporary = NULL;
  *ret_made = false;
  PLM_TRY_GOTO(plm_cache_prepare(directory, o->key.source_bytes), done);
  PLM_TRY_GOTO(plm_path_join(directory, o->key.name, &path), done);
  PLM_TRY_GOTO(plm_cache_temporary(path, &temporary), done);
  plm_cache_sweep(directory, o->key.name);
  PLM_TRY_GOTO(plm_packed_file_writer_open(temporary, &writer), done);
  *ret_made = true;
  PLM_TRY_GOTO(make(o, writer, temporary, path, ret_dataset), done);
done:
  plm_free(path);
  plm_free(temporary);
  return status;
}

static plm_status make_somewhere(const opening *o, plm_dataset **ret_dataset) {
  plm_text tried = {0};
  for (int i = 0;; i++) {
    char *directory = NULL;
    bool made = false;
    plm_status status = plm_cache_directory(o->options, i, &directory);
    if (status != PLM_OK || directory == NULL) {
      if (status == PLM_OK) {
        plm_fail(PLM_E_RESOURCE, "there is no place to write the packed form of %s:%s", o->words,
                 tried.data != NULL ? tried.data : " none");
        status = plm_hint(PLM_E_RESOURCE,
                          "name a directory that can be written, with room for it: --cache-dir or PROTLM_CACHE");
      }
      plm_text_free(&tried);
      return status;
    }
    if (directory[0] != '\0') status = make_in(o, directory, &made, ret_dataset);
    if (directory[0] != '\0' && !made) {
      plm_debug("no packed form in %s: %s", directory, plm_error_message());
      plm_text_printf(&tried, "\n  %s", plm_error_message());
    }
    plm_free(directory);
    if (made) {
      plm_text_free(&tried);
      return status;
    }
  }
}

/* ---- finding ---- */

/* Reads the residues once. Above this size that would hold up every start, and only the structure
 * has been looked at. */
static plm_status check_content(const plm_dataset *dataset) {
  const size_t most = (size_t)1 << 30;
  return dataset->file.bytes <= most ? plm_dataset_verify(dataset) : PLM_OK;
}

/* Sets *ret_dataset if this directory holds an up-to-date packed form. What is there and cannot be used is a reason to
 * make it again. */
static plm_status find_in(const opening *o, const char *directory, plm_dataset **ret_dataset) {
  char *path = NULL;
  plm_dataset *found = NULL;
  PLM_TRY(plm_path_join(directory, o->key.name, &path));
  if (plm_file_exists(path)) {
    plm_status status = plm_packed_file_open(path, o->words, &o->sources, &found);
    if (status != PLM_OK) {
      plm_debug("not using %s: %s", path, plm_error_message());
    } else if (found->source_key != o->key.key) {
      plm_debug("not using %s: the source has changed since", path);
      plm_dataset_close(found);
      found = NULL;
    } else if (o->options->policy.masks && found->info.notes.kinds[PLM_NOTE_MASK_TOKENS].count > 0) {
      plm_debug("not using %s: <mask> was read as X", path);
      plm_dataset_close(found);
      found = NULL;
    } else if (check_content(found) != PLM_OK) {
      plm_warn("%s; it is made again", plm_error_message());
      plm_error_clear();
      plm_dataset_close(found);
      found = NULL;
    }
  }
  if (found != NULL) {
    plm_debug("using the packed form %s", path);
    found->info.from_cache = true;
    *ret_dataset = found;
  }
  plm_free(path);
  return PLM_OK;
}

static plm_status find(const opening *o, plm_dataset **ret_dataset) {
  for (int i = 0; o->key.cacheable && *ret_dataset == NULL; i++) {
    char *directory = NULL;
    PLM_TRY(plm_cache_directory(o->options, i, &directory));
    if (directory == NULL) break;
    plm_status status = directory[0] == '\0' ? PLM_OK : find_in(o, directory, ret_dataset);
    plm_free(directory);
    PLM_TRY(status);
  }
  return PLM_OK;
}

/* ---- opening ---- */

static plm_status join_words(const plm_sequence_paths *paths, char **ret_words) {
  plm_text words = {0};
  for (size_t i = 0; i < paths->count; i++)
    plm_text_printf(&words, "%s%s", i > 0 ? ", " : "", plm_sequence_file_words(paths->items[i]));
  return plm_text_take(&words, ret_words);
}

/* Every file is looked at before any is read: a misspelt second name is reported at once. */
static plm_status look_at_sources(const plm_sequence_paths *paths, bool *ret_packed) {
  int streams = 0;
  *ret_packed = false;
  for (size_t i = 0; i < paths->count; i++) {
    plm_sequence_format format;
    PLM_TRY(plm_sequence_file_format(paths->items[i], &format));
    if (format == PLM_FORMAT_PLMD && paths->count > 1) return combined(paths->items[i]);
    *ret_packed = format == PLM_FORMAT_PLMD;
    streams += strcmp(paths->items[i], "-") == 0;
  }
  return streams > 1
             ? plm_fail(PLM_E_USAGE, "standard input ('-') is given %d times; it can be read only once", streams)
             : PLM_OK;
}

static plm_status open_or_make(opening *o, plm_dataset **ret_dataset) {
  PLM_TRY(plm_cache_key_of(o->options, &o->key));
  PLM_TRY(find(o, ret_dataset));
  return *ret_dataset != NULL ? PLM_OK : make_somewhere(o, ret_dataset);
}

plm_status plm_dataset_open(const plm_dataset_options *options, plm_dataset **ret_dataset) {
  bool packed;
  opening o = {.options = options};
  plm_dataset *dataset = NULL;
  if (options->paths.count == 0) return plm_fail(PLM_E_USAGE, "no sequence file is given");
  PLM_TRY(look_at_sources(&options->paths, &packed));
  PLM_TRY(join_words(&options->paths, &o.words));
  o.sources = (plm_note_sources){.names = options->paths.items, .count = options->paths.count};
  plm_status status =
      packed ? plm_packed_file_open(options->paths.items[0], o.words, NULL, &dataset) : open_or_make(&o, &dataset);
  if (status == PLM_OK && packed) status = check_content(dataset);
  plm_free(o.words);
  if (status == PLM_OK)
    *ret_dataset = dataset;
  else
    plm_dataset_close(dataset);
  return status;
}

plm_status plm_dataset_open_packed(const plm_dataset_options *options, const char *path, plm_dataset **ret_dataset) {
  const plm_sequence_paths *paths = &options->paths;
  const plm_note_sources sources = {.names = paths->items, .count = paths->count};
  const bool is_itself = paths->count == 1 && strcmp(paths->items[0], path) == 0;
  char *words;
  PLM_TRY(join_words(paths, &words));
  plm_status status = plm_packed_file_open(path, words, is_itself ? NULL : &sources, ret_dataset);
  plm_free(words);
  return status;
}

/* ---- views ---- */

void plm_view_all(const plm_dataset *dataset, plm_view *ret_view) {
  *ret_view = (plm_view){.dataset = dataset, .count = plm_dataset_count(dataset)};
}

void plm_view_free(plm_view *view) {
  plm_free(view->ids);
  *view = (plm_view){0};
}
