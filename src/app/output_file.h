/* output_file.h - result files that appear whole or not at all. */
#ifndef PLM_APP_OUTPUT_FILE_H
#define PLM_APP_OUTPUT_FILE_H

#include "formats/safetensors.h"
#include "protlm/options.h"
#include "protlm/status.h"

typedef plm_status plm_output_file_fn(void *user, const char *path);

/* `write` makes a new file under the temporary name it is given; then that takes the place of `path`, or of what the
 * link `path` leads to. Whatever fails, all is as it was and the temporary is gone. PLM_E_USAGE: a directory, device or
 * pipe, or a file in a checkpoint. */
PLM_CHECKED plm_status plm_output_file_replace(const char *path, plm_output_file_fn *write, void *user);

/* What a command reads: files ("-" = standard input), and those directly in the model's directory. */
typedef struct plm_output_inputs {
  plm_string_list files[2];
  const char *model; /* as the user named it; NULL or a preset: none */
} plm_output_inputs;

/* Check `path` before the work that leads to it: the same refusals, a directory that is missing or closed, and a file
 * that is read. */
PLM_CHECKED plm_status plm_output_file_check(const char *path, const plm_output_inputs *inputs);

/* A safetensors file in place of `path` (plm_safetensors_write). */
PLM_CHECKED plm_status plm_output_file_tensors(const char *path, const plm_tensor_list *list);

#endif
