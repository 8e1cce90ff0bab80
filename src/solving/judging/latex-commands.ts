/** @file LaTeX commands whose names begin with n, r or t: in JSON their backslash reads as a line break or a tab. */

export const LATEX_COMMANDS: ReadonlySet<string> = new Set(
  (
    'nabla natural ne nearrow neg neq newline nexists ngeq ni nleq nmid normalsize not notin nparallel nsubseteq ' +
    'nsim nu nwarrow ' +
    'rangle rbrace rbrack rceil rfloor rho right rightarrow rightharpoonup rightleftharpoons rm rtimes rVert rvert ' +
    'tan tanh tau tbinom text textbf textit textrm textstyle textsf texttt tfrac therefore theta tilde times to ' +
    'top triangle triangleleft triangleq triangleright tt twoheadrightarrow'
  ).split(' '),
)
