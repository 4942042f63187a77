/* hub_families.c - names on the hub of protein models that are not read here, so that nobody downloads gigabytes to be told
 * so. A name that is not listed means nothing: config.json decides. */
#define _GNU_SOURCE
#include <fnmatch.h>
#include <string.h>

#include "base/text.h"
#include "hub/internal.h"

/* Patterns of "organisation/name" or of the name alone, without regard to case. */
static const struct {
  const char *pattern, *words;
} others[] = {
    {"*prot_t5*", "ProtT5, an encoder and decoder of the T5 kind"},
    {"*prott5*", "ProtT5, an encoder and decoder of the T5 kind"},
    {"*prostt5*", "ProstT5, which translates between residues and 3Di letters"},
    {"*prot_bert*", "ProtBERT, a BERT"},
    {"*protbert*", "ProtBERT, a BERT"},
    {"*prot_albert*", "ProtAlbert, an ALBERT"},
    {"*prot_xlnet*", "ProtXLNet, an XLNet"},
    {"*prot_electra*", "ProtElectra, an ELECTRA"},
    {"*esm[-_]msa*", "the MSA Transformer, which reads alignments"},
    {"*msa_transformer*", "the MSA Transformer, which reads alignments"},
    {"*esm1b*", "ESM-1b, which has learnt absolute positions"},
    {"*esm1v*", "ESM-1v, which has learnt absolute positions"},
    {"*esm[-_]1*", "an ESM-1, which has learnt absolute positions"},
    {"facebook/esm1*", "an ESM-1, which has learnt absolute positions"},
    {"esm1_t*", "an ESM-1, which has learnt absolute positions"},
    {"*esmfold*", "ESMFold, which predicts structures"},
    {"*esm[-_]if1*", "ESM-IF1, an inverse folding model"},
    {"*esm3*", "ESM3, which reads structure and function too"},
    {"*esmc[-_]*", "ESM C (Cambrian)"},
    {"*esm[-_]c[-_]*", "ESM C (Cambrian)"},
    {"*esmplusplus*", "ESM C (Cambrian) in another packing"},
    {"evolutionaryscale/*", "of EvolutionaryScale's families"},
    {"*saprot*", "SaProt, whose tokens join a residue and its structure"},
    {"*prosst*", "ProSST, which reads structure tokens too"},
    {"*dplm*", "DPLM, a diffusion model"},
    {"*evodiff*", "EvoDiff, a diffusion model"},
    {"*amplify*", "AMPLIFY"},
    {"*ankh*", "Ankh, an encoder and decoder of the T5 kind"},
    {"*progen*", "ProGen, which writes proteins from left to right"},
    {"*protgpt*", "ProtGPT2, which writes proteins from left to right"},
    {"*zymctrl*", "ZymCTRL, which writes enzymes from left to right"},
    {"lightonai/rita*", "RITA, which writes proteins from left to right"},
    {"*tranception*", "Tranception, which reads from left to right"},
    {"*proteinbert*", "ProteinBERT"},
    {"*proteinglm*", "xTrimoPGLM"},
    {"*xtrimopglm*", "xTrimoPGLM"},
    {"*carp_[0-9]*", "CARP, a convolutional network"},
    {"*antiberty*", "AntiBERTy, of antibodies"},
    {"*antiberta*", "AntiBERTa, of antibodies"},
    {"*ablang*", "AbLang, of antibodies"},
    {"*igbert*", "IgBert, of antibodies"},
    {"*igt5*", "IgT5, of antibodies"},
    {"*iglm*", "IgLM, of antibodies"},
    {"*nucleotide-transformer*", "the Nucleotide Transformer, of DNA"},
    {"*dnabert*", "DNABERT, of DNA"},
    {"*hyenadna*", "HyenaDNA, of DNA"},
};

/* "ESM-2, ..." */
static void list_families(plm_text *text) {
  for (int i = 0; plm_family_at(i) != NULL; i++)
    plm_text_printf(text, "%s%s", i > 0 ? ", " : "", plm_family_at(i)->words);
}

/* The name of a family that is read stands in it: an ESM-2 with a history. */
static bool is_of_ours(const char *id) {
  for (int i = 0; plm_family_at(i) != NULL; i++)
    if (strcasestr(id, plm_family_at(i)->name) != NULL || strcasestr(id, plm_family_at(i)->words) != NULL) return true;
  return false;
}

plm_status plm_hub_check_family(const char *id) {
  char shown[128];
  if (is_of_ours(id)) return PLM_OK;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    if (fnmatch(others[i].pattern, id, FNM_CASEFOLD) != 0) continue;
    plm_text ours = {0};
    list_families(&ours);
    plm_status status = plm_fail(PLM_E_INPUT, "'%s' is by its name %s, and protlm reads models of %s only",
                                 plm_printable(id, strlen(id), shown, sizeof shown), others[i].words,
                                 ours.data != NULL ? ours.data : "another family");
    plm_text_free(&ours);
    return plm_hint(status, "no need to download it; a model that is read is facebook/esm2_t6_8M_UR50D");
  }
  return PLM_OK;
}
