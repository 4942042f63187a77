/* slurm_drill.c - `protlm slurm ... -- drill`: a script that submits short runs, disturbs them, and says which went on as they
 * must. Its lower half is slurm_drill.sh as it stands. */
#include <stdlib.h>
#include <string.h>

#include "app/slurm.h"
#include "base/alloc.h"
#include "base/system.h"

static const char drill_body[] =
#include "app/slurm_drill.inc"
    ;

bool plm_slurm_is_drill(const plm_slurm_options *options) {
  return options->line.count == 1 && strcmp(options->line.items[0], "drill") == 0;
}

/* This command without what stands behind the two dashes: each run of the drill is submitted by it. */
plm_status plm_slurm_drill_write(const char *program, plm_text *out) {
  char *line, whole[PLM_SLURM_PATH];
  const char *path = program != NULL ? realpath(program, whole) : NULL;
  PLM_TRY(plm_own_command(&line));
  const char *words = strstr(line, " slurm "), *end = words != NULL ? strstr(words, " -- drill") : NULL;
  plm_text_append(out, "#!/bin/bash\n# A drill of this cluster, made by protlm " PLM_VERSION
                       "; run it where sbatch is: bash FILE\nset -u\nslurm=(");
  plm_slurm_append_word(out, path != NULL ? path : "protlm", false);
  if (end != NULL) plm_text_append_bytes(out, words, (size_t)(end - words));
  plm_text_append(out, ")\n\n");
  plm_text_append(out, drill_body);
  plm_free(line);
  return PLM_OK;
}
