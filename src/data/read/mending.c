/* mending.c - see mending.h */
#include "data/read/mending.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "data/read/sequence_file.h"

const char *plm_mended_name(const char *extension, char ret_name[PLM_MENDED_NAME]) {
  snprintf(ret_name, PLM_MENDED_NAME, "mended%s", extension);
  for (int i = 2; i < 1000 && plm_file_exists(ret_name); i++)
    snprintf(ret_name, PLM_MENDED_NAME, "mended-%d%s", i, extension);
  return ret_name;
}

/* Adds a stage; the first reads the file. */
static void add_stage(const char *stage, const char *input, char line[PLM_MENDING_LINE]) {
  const size_t used = strlen(line);
  const bool is_first = used == 0;
  snprintf(line + used, PLM_MENDING_LINE - used, "%s%s%s", is_first ? "" : " | ", stage, is_first ? input : "");
}

const char *plm_mending_pipe(const plm_mending *mending, const char *const *filters, size_t count,
                             char ret_line[PLM_MENDING_LINE]) {
  const bool is_stream = mending->path == NULL || plm_sequence_file_is_stream(mending->path);
  char name[PLM_MENDED_NAME], word[PLM_SHELL_WORD], input[PLM_SHELL_WORD + 4] = "", pipe[PLM_MENDING_LINE] = "";
  if (!is_stream) snprintf(input, sizeof input, " < %s", plm_shell_word(mending->path, word));
  if (mending->is_compressed) add_stage("gzip -dc", input, pipe);
  for (size_t i = 0; i < count; i++)
    if (filters[i] != NULL) add_stage(filters[i], input, pipe);
  if (is_stream)
    memcpy(ret_line, pipe, sizeof pipe);
  else
    snprintf(ret_line, PLM_MENDING_LINE, "`%.*s > %s`", PLM_MENDING_LINE - PLM_MENDED_NAME - 8, pipe,
             plm_mended_name(".fasta", name));
  return ret_line;
}

const char *plm_mending_line(const plm_mending *mending, const char *filter, char ret_line[PLM_MENDING_LINE]) {
  return plm_mending_pipe(mending, &filter, 1, ret_line);
}
