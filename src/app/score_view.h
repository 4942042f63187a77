/* score_view.h - an evaluation as people and programs read it. */
#ifndef PLM_APP_SCORE_VIEW_H
#define PLM_APP_SCORE_VIEW_H

#include "protlm/commands.h"
#include "train/evaluate.h"

/* Tab-separated, a line a sequence. */
#define PLM_SCORE_HEADER "name\tlength\tnll\tperplexity\taccuracy\tcount\tscored\n"
enum { PLM_SCORE_LINE = 4400 };
const char *plm_score_line(const plm_dataset *dataset, const plm_sequence_score *score, char line[PLM_SCORE_LINE]);

/* The whole set: a table, in the colours of an output if there is one, or a JSON object with the names of log.jsonl. */
void plm_score_table(const plm_record *record, const plm_dataset_info *info, const plm_output *opt_colour,
                     plm_text *out);
PLM_CHECKED plm_status plm_score_json(const plm_record *record, plm_text *out);

#endif
