/* sequence_refusals.h - the words for what cannot stand in a sequence, and what to do about it. All return PLM_E_INPUT;
 * the reader puts file and line in front. */
#ifndef PLM_DATA_SEQUENCE_REFUSALS_H
#define PLM_DATA_SEQUENCE_REFUSALS_H

#include "data/read/characters.h"
#include "data/read/mending.h"
#include "protlm/status.h"

/* `column`: of the character in its line, from 1; 0: unknown. */
PLM_CHECKED plm_status plm_refuse_nul(void);
PLM_CHECKED plm_status plm_refuse_glued_record(const plm_mending *mending, int column);
/* MMseqs2's databases have one between their entries. */
PLM_CHECKED plm_status plm_refuse_nul_between(const plm_mending *mending);
/* What looks like a '>' and is none; "&gt;" and the like, tags such as "<br>": `bytes` long. */
PLM_CHECKED plm_status plm_refuse_name_mark(const plm_mending *mending, plm_character character, int column);
PLM_CHECKED plm_status plm_refuse_entity(const plm_mending *mending, const char *entity, int bytes, int column);
PLM_CHECKED plm_status plm_refuse_tag(const plm_mending *mending, const char *tag, int bytes, int column);
PLM_CHECKED plm_status plm_refuse_carriage_return(const plm_mending *mending);
PLM_CHECKED plm_status plm_refuse_character(const plm_mending *mending, plm_character character, int column);
/* `token`, `bytes` long: "<mask>", "<cls>", ... */
PLM_CHECKED plm_status plm_refuse_token(const plm_mending *mending, const char *token, int bytes, int column);

#endif
