/* hdf5_rows.c - rows of strings, with their ids beside them; and strings that are a dataset each. */
#if PLM_HAVE_HDF5

#include <string.h>

#include "base/alloc.h"
#include "data/read/hdf5_input.h"
#include "data/read/sequence_text.h"
#include "data/plmd_format.h"

enum { ROWS_AT_ONCE = 1024, BYTES_AT_ONCE = 1 << 20 };

/* ---- some rows of a column ---- */

typedef struct row_block {
  const plm_hdf5_column *column; /* NULL: nothing is read */
  char *data;                    /* [rows] of the column's size */
  hid_t memory;                  /* their shape; negative: nothing is in it */
} row_block;

static void clear_block(row_block *block) {
  if (block->memory < 0) return;
  if (block->column->kind == PLM_HDF5_VARIABLE)
    H5Dvlen_reclaim(block->column->type, block->memory, H5P_DEFAULT, block->data);
  H5Sclose(block->memory);
  block->memory = -1;
}

static bool select_rows(const plm_hdf5_column *column, hid_t space, hsize_t first, hsize_t count) {
  hsize_t start[H5S_MAX_RANK] = {0}, counts[H5S_MAX_RANK];
  if (column->dimensions == 0) return true;
  for (int i = 0; i < column->dimensions; i++) counts[i] = 1;
  start[column->axis] = first;
  counts[column->axis] = count;
  return H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, counts, NULL) >= 0;
}

/* Rows first .. first+count-1, in place of what was in the block. */
static bool fill_block(row_block *block, hsize_t first, hsize_t count) {
  const plm_hdf5_column *column = block->column;
  clear_block(block);
  const hid_t space = H5Dget_space(column->dataset);
  const hid_t memory = H5Screate_simple(1, &count, NULL);
  const bool filled = space >= 0 && memory >= 0 && select_rows(column, space, first, count) &&
                      H5Dread(column->dataset, column->type, memory, space, H5P_DEFAULT, block->data) >= 0;
  const hid_t said = filled ? -1 : H5Eget_current_stack(); /* closing would empty it */
  if (space >= 0) H5Sclose(space);
  if (filled)
    block->memory = memory;
  else if (memory >= 0)
    H5Sclose(memory);
  if (said >= 0) H5Eset_current_stack(said); /* and closes `said` */
  return filled;
}

/* Strings of fixed length are padded with NUL or spaces, as the writer chose. */
static const char *row_text(const row_block *block, hsize_t row, char number[PLM_NUMBER_TEXT], size_t *ret_bytes) {
  const char *at = block->data + row * block->column->size, *text = at;
  int64_t value;
  if (block->column->kind == PLM_HDF5_FIXED) {
    *ret_bytes = strnlen(at, block->column->size); /* whoever takes it drops white space */
    return text;
  }
  if (block->column->kind == PLM_HDF5_VARIABLE) {
    memcpy(&text, at, sizeof text);
    if (text == NULL) text = "";
  } else {
    memcpy(&value, at, sizeof value);
    const bool is_signed = block->column->kind == PLM_HDF5_SIGNED;
    snprintf(number, PLM_NUMBER_TEXT, is_signed ? "%lld" : "%llu", (long long)value);
    text = number;
  }
  *ret_bytes = strlen(text);
  return text;
}

/* The padding of a fixed length is all NUL: what stands behind one would be lost. */
static bool loses_letters(const row_block *block, hsize_t row, size_t bytes) {
  const plm_hdf5_column *column = block->column;
  const char *at = block->data + row * column->size;
  if (column->kind != PLM_HDF5_FIXED || column->size == 1 || column->is_terminated) return false;
  for (size_t i = bytes; i < column->size; i++)
    if (at[i] != '\0' && at[i] != ' ') return true;
  return false;
}

static plm_status refuse_nul(const plm_hdf5_input *in, const char *where, size_t bytes) {
  char shown[PLM_HDF5_NAME], after[PLM_COUNTED_TEXT];
  plm_fail(PLM_E_INPUT, "%s: %s: more letters stand behind a NUL byte, after %s", in->task->path,
           plm_printable(where, strlen(where), shown, sizeof shown),
           plm_counted((int64_t)bytes, "byte", "bytes", after));
  return plm_hint(PLM_E_INPUT,
                  "write it again without the NUL byte: strings of fixed length have such bytes only at their ends");
}

static plm_status refuse_nul_in_row(const plm_hdf5_input *in, hsize_t row, size_t bytes) {
  char where[PLM_HDF5_NAME];
  snprintf(where, sizeof where, "row %llu of '%.500s' (from 0)", (unsigned long long)row, in->name);
  return refuse_nul(in, where, bytes);
}

/* ---- rows with ids ---- */

/* A header's first word is a name, as in FASTA; its '>' may have been kept. It ends at a control character. */
static void take_id(plm_hdf5_taker *taker, const char *text, size_t bytes) {
  while (bytes > 0 && (plm_sequence_is_blank(*text) || *text == '>')) text++, bytes--;
  size_t word = 0;
  while (word < bytes && (unsigned char)text[word] > ' ' && text[word] != '\x7f') word++;
  plm_hdf5_take_name(taker, text, word);
}

static plm_status take_rows(plm_hdf5_input *in, const row_block *sequences, const row_block *ids, hsize_t first,
                            hsize_t count) {
  char number[PLM_NUMBER_TEXT];
  for (hsize_t i = 0; i < count; i++) {
    size_t bytes;
    if (ids->column != NULL) {
      const char *id = row_text(ids, i, number, &bytes);
      take_id(in->taker, id, bytes);
    }
    const char *text = row_text(sequences, i, number, &bytes);
    if (loses_letters(sequences, i, bytes)) return refuse_nul_in_row(in, first + i, bytes);
    PLM_TRY(plm_hdf5_take_text(in->taker, text, bytes));
    PLM_TRY(plm_hdf5_take_end(in->taker));
  }
  return PLM_OK;
}

static hsize_t rows_at_once(const plm_hdf5_column *sequences, const plm_hdf5_column *ids) {
  const size_t id = ids != NULL ? ids->size : 0, largest = sequences->size > id ? sequences->size : id;
  const hsize_t fitting = largest < BYTES_AT_ONCE ? BYTES_AT_ONCE / largest : 1;
  const bool variable = sequences->kind == PLM_HDF5_VARIABLE || (ids != NULL && ids->kind == PLM_HDF5_VARIABLE);
  return variable && fitting > ROWS_AT_ONCE ? ROWS_AT_ONCE : fitting;
}

static plm_status check_length(const plm_hdf5_input *in, const char *name, hsize_t letters) {
  if (letters <= PLMD_LONGEST) return PLM_OK;
  char shown[128], count[PLM_NUMBER_TEXT];
  return plm_fail(PLM_E_INPUT, "%s: '%s' holds sequences of %s letters; one of more than %d is no protein",
                  in->task->path, plm_printable(name, strlen(name), shown, sizeof shown),
                  plm_count_text((int64_t)letters, count), PLMD_LONGEST);
}

static plm_status failed_at(plm_hdf5_input *in, const char *name) {
  char doing[PLM_HDF5_NAME + 16];
  snprintf(doing, sizeof doing, "reading '%s'", name);
  return plm_hdf5_failed(in, doing);
}

plm_status plm_hdf5_read_rows(plm_hdf5_input *in) {
  plm_status status = PLM_OK;
  row_block sequences = {.column = &in->sequences, .memory = -1};
  row_block ids = {.column = in->ids.dataset >= 0 ? &in->ids : NULL, .memory = -1};
  const hsize_t rows = in->sequences.rows, at_once = rows_at_once(&in->sequences, ids.column);
  PLM_TRY(check_length(in, in->name, in->sequences.size));
  if (ids.column != NULL) PLM_TRY(check_length(in, in->ids_name, ids.column->size));
  PLM_TRY_GOTO(PLM_NEW(&sequences.data, at_once * in->sequences.size), done);
  if (ids.column != NULL) PLM_TRY_GOTO(PLM_NEW(&ids.data, at_once * ids.column->size), done);
  for (hsize_t first = 0; first < rows; first += at_once) {
    const hsize_t count = rows - first < at_once ? rows - first : at_once;
    if (!fill_block(&sequences, first, count)) PLM_TRY_GOTO(failed_at(in, in->name), done);
    if (ids.column != NULL && !fill_block(&ids, first, count)) PLM_TRY_GOTO(failed_at(in, in->ids_name), done);
    PLM_TRY_GOTO(take_rows(in, &sequences, &ids, first, count), done);
  }
done:
  clear_block(&sequences);
  if (ids.column != NULL) clear_block(&ids);
  plm_free(sequences.data);
  plm_free(ids.data);
  return status;
}

/* ---- a dataset for each sequence ---- */

static plm_status take_dataset(plm_hdf5_input *in, const char *name, const plm_hdf5_column *column) {
  plm_status status = PLM_OK;
  row_block block = {.column = column, .memory = -1};
  char number[PLM_NUMBER_TEXT];
  plm_hdf5_take_name(in->taker, name, strlen(name));
  PLM_TRY(check_length(in, name, column->rows > column->size ? column->rows : column->size));
  PLM_TRY(PLM_NEW(&block.data, column->rows * column->size));
  if (column->rows > 0 && !fill_block(&block, 0, column->rows)) {
    const hid_t said = H5Eget_current_stack(); /* asking would empty it */
    plm_hdf5_note_filters(in, column->dataset);
    H5Eset_current_stack(said);
    PLM_TRY_GOTO(failed_at(in, name), done);
  }
  for (hsize_t i = 0; i < column->rows; i++) {
    size_t bytes;
    const char *text = row_text(&block, i, number, &bytes);
    if (loses_letters(&block, i, bytes)) PLM_TRY_GOTO(refuse_nul(in, name, bytes), done);
    PLM_TRY_GOTO(plm_hdf5_take_text(in->taker, text, bytes), done);
  }
  PLM_TRY_GOTO(plm_hdf5_take_end(in->taker), done);
done:
  clear_block(&block);
  plm_free(block.data);
  return status;
}

static plm_status no_sequence(const plm_hdf5_input *in, const char *name, hid_t dataset) {
  char shown[128], shape[PLM_HDF5_SHAPE];
  plm_fail(PLM_E_INPUT, "%s: '%s' in '%s' is no sequence like the datasets beside it (%s)", in->task->path,
           plm_printable(name, strlen(name), shown, sizeof shown), in->name, plm_hdf5_shape_text(dataset, shape));
  return plm_hint(PLM_E_INPUT, "a group that is read as sequences holds one string a dataset and nothing else");
}

static plm_status take_own_dataset(plm_hdf5_input *in, const char *name, const plm_hdf5_column *column) {
  if (plm_hdf5_is_in_file(in, column->dataset)) return take_dataset(in, name, column);
  plm_fail(PLM_E_INPUT, "%s: '%s' in '%s' lies in another file", in->task->path, name, in->name);
  return plm_hint(PLM_E_INPUT, "where each sequence is a dataset of its own, give the files that hold them");
}

/* Takes over `group`, which is one protein's. Without a sequence it is an empty one, and counted. */
static plm_status take_protein(plm_hdf5_input *in, hid_t group, const char *name) {
  plm_hdf5_column column;
  plm_status status;
  if (plm_hdf5_find_member(in, group, &column)) {
    status = take_own_dataset(in, name, &column);
  } else {
    plm_hdf5_take_name(in->taker, name, strlen(name));
    status = plm_hdf5_take_end(in->taker);
  }
  plm_hdf5_column_close(&column);
  H5Gclose(group);
  return status;
}

static plm_status take_member(plm_hdf5_input *in, hid_t group, const char *name) {
  plm_hdf5_column column;
  plm_status status = PLM_OK;
  const hid_t dataset = H5Oopen(group, name, in->access);
  if (dataset < 0) return failed_at(in, name);
  if (H5Iget_type(dataset) == H5I_GROUP && in->has_proteins) return take_protein(in, dataset, name);
  if (H5Iget_type(dataset) == H5I_DATASET && plm_hdf5_is_metadata(dataset, name)) {
    H5Dclose(dataset);
    plm_hdf5_take_metadata(in->taker);
    return PLM_OK;
  }
  if (H5Iget_type(dataset) != H5I_DATASET) {
    H5Oclose(dataset);
    plm_fail(PLM_E_INPUT, "%s: '%s' in '%s' is a group, where the others are sequences", in->task->path, name,
             in->name);
    return plm_hint(PLM_E_INPUT, "a group that is read as sequences holds one string a dataset and nothing else");
  }
  const bool fits = plm_hdf5_column_open(dataset, plm_hdf5_sequence_rank, false, &column);
  if (!fits || !plm_hdf5_is_sequence(&column)) {
    status = no_sequence(in, name, dataset);
  } else {
    status = take_own_dataset(in, name, &column);
  }
  plm_hdf5_column_close(&column);
  return status;
}

static herr_t take_link(hid_t group, const char *name, const H5L_info_t *link, void *user) {
  plm_hdf5_input *in = user;
  (void)link;
  in->status = take_member(in, group, name);
  return in->status == PLM_OK ? 0 : -1;
}

plm_status plm_hdf5_read_group(plm_hdf5_input *in) {
  hsize_t next = 0;
  in->status = PLM_OK;
  const herr_t walked = H5Literate(in->group, H5_INDEX_NAME, H5_ITER_INC, &next, take_link, in);
  if (in->status != PLM_OK) return in->status;
  return walked < 0 ? failed_at(in, in->name) : PLM_OK;
}

#endif
