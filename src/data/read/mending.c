/* mending.c - see mending.h */
#include "data/read/mending.h"

#include <stdio.h>

#include "base/file.h"
#include "base/text.h"
#include "data/read/sequence_file.h"

const char *plm_mended_name(const char *extension, char ret_name[PLM_MENDED_NAME]) {
  snprintf(ret_name, PLM_MENDED_NAME, "mended%s", extension);
  for (int i = 2; i < 1000 && plm_file_exists(ret_name); i++)
    snprintf(ret_name, PLM_MENDED_NAME, "mended-%d%s", i, extension);
  return ret_name;
}

const char *plm_mending_line(const plm_mending *mending, const char *filter, char ret_line[PLM_MENDING_LINE]) {
  char name[PLM_MENDED_NAME], word[PLM_SHELL_WORD];
  if (mending->path == NULL || plm_sequence_file_is_stream(mending->path)) {
    snprintf(ret_line, PLM_MENDING_LINE, "%s", filter);
    return ret_line;
  }
  plm_mended_name(".fasta", name);
  plm_shell_word(mending->path, word);
  if (mending->is_compressed) /* read from standard input, gunzip does not mind what the file is called */
    snprintf(ret_line, PLM_MENDING_LINE, "`gunzip -c < %s | %s > %s`", word, filter, name);
  else
    snprintf(ret_line, PLM_MENDING_LINE, "`%s %s > %s`", filter, word, name);
  return ret_line;
}
