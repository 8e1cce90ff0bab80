/** @file Report of an evaluation: figures of every arm and family, as JSON and as Markdown. */

import type { Figure } from '#algorithms'
import type { Arm } from './arms.ts'
import { deriveArms } from './derived-arms.ts'
import type { Machine } from './machine.ts'
import { type Cell, markdownTable } from './markdown.ts'
import type { AnswerRecord } from './records.ts'
import { reportSignals, type SignalReport } from './signals.ts'
import { type ArmFigures, armFigures, pairedDifference } from './statistics.ts'

export interface ArmReport extends ArmFigures {
  readonly arm: string
  /** Difference to the arm `against`; null for that arm. */
  readonly difference: Figure | null
}

export interface Report {
  readonly title: string
  readonly problems: { readonly file: string; readonly sha256: string; readonly count: number }
  readonly seeds: readonly number[]
  readonly concurrency: number
  readonly machine: Machine
  readonly settings: readonly Arm[]
  /** Answers that are there and answers that belong to the evaluation. */
  readonly answered: number
  readonly total: number
  /** Name of the arm that the others are compared with. */
  readonly against: string
  /** Trained versions that gave answers. */
  readonly versions: Readonly<Record<'weaver' | 'lrm' | 'judge', readonly string[]>>
  readonly arms: readonly ArmReport[]
  readonly signals: readonly SignalReport[]
  readonly families: Readonly<Record<string, readonly ArmReport[]>>
}

export type ReportHead = Pick<
  Report,
  'title' | 'problems' | 'seeds' | 'concurrency' | 'machine' | 'settings' | 'total'
> &
  Partial<Pick<Report, 'against'>>

/** @param head with `against`, an arm or a derived one (`ARM → SELECTOR`); the first arm unless given */
export function createReport(head: ReportHead, records: readonly AnswerRecord[]): Report {
  const derived = deriveArms(records)
  const all = [...records, ...derived]
  const names = [...head.settings.map(({ name }) => name), ...new Set(derived.map(({ arm }) => arm))]
  const { against = names[0] ?? '' } = head
  const families = Map.groupBy(all, ({ family }) => family ?? '')
  families.delete('')
  const versions = (of: (record: AnswerRecord) => string | null | undefined) =>
    [...new Set(records.map(of))].filter((version) => version != null)
  return {
    ...head,
    against,
    answered: records.length,
    versions: {
      weaver: versions(({ model }) => model?.weaverVersion),
      lrm: versions(({ model }) => model?.lrmVersion),
      judge: versions(({ model }) => model?.judgeVersion),
    },
    arms: armReports(names, all, against),
    signals: reportSignals(records),
    families: Object.fromEntries(
      [...families].sort().map(([family, own]) => [family, armReports(names, own, against)]),
    ),
  }
}

function armReports(
  names: readonly string[],
  records: readonly AnswerRecord[],
  against: string,
): ArmReport[] {
  const byArm = Map.groupBy(records, ({ arm }) => arm)
  const other = byArm.get(against) ?? []
  return names.flatMap((name) => {
    const own = byArm.get(name) ?? []
    const figures = armFigures(own)
    if (figures === null) return []
    return [{ arm: name, ...figures, difference: own === other ? null : pairedDifference(own, other) }]
  })
}

/** Main table, which is also printed at the end. */
export function armTable(report: Report): string {
  const header = [
    'arm',
    'problems',
    'accuracy',
    '95 %',
    'sd over seeds',
    `minus ${report.against}`,
    '95 %',
    'generated tokens',
    'judged tokens',
    'seconds',
    'tokens/s',
    'cut',
    'errors',
  ]
  return markdownTable(header, report.arms.map(armCells))
}

export function reportMarkdown(report: Report): string {
  const { title, problems, seeds, concurrency, machine, answered, total, versions } = report
  const part = answered === total ? '' : ` **Not complete: ${answered} of ${total} answers are there.**`
  const trained = [...versions.weaver, ...versions.lrm, ...versions.judge]
  return `${[
    `# ${title}`,
    `${problems.count} problems of ${problems.file} (sha256 ${problems.sha256.slice(0, 16)}), seeds ${seeds.join(', ')}, up to ${concurrency} requests at once.${part}`,
    `${machine.cores} cores of ${machine.processor}, ${machine.memoryGiB} GiB, Node ${machine.node}, ONNX Runtime ${machine.onnxruntime}, commit ${machine.commit}, ${machine.date}.${trained.length === 0 ? '' : ` Trained versions: ${trained.join(', ')}.`}`,
    armTable(report),
    '![accuracy over generated tokens](accuracy.svg)',
    NOTES.join('\n'),
    ...signalSection(report),
    ...Object.entries(report.families).map(([family, arms]) => familySection(family, arms, report)),
    '## Settings',
    markdownTable(
      ['arm', 'request'],
      report.settings.map(({ name, request, examples }) => [
        name,
        `\`${JSON.stringify({ ...request, examples })}\``,
      ]),
    ),
  ].join('\n\n')}\n`
}

const NOTES = [
  '- accuracy: mean over problems, seeds pooled; its interval is Wilson’s, with every problem counted once.',
  '- minus: mean difference on the problems that both arms answered, its interval by bootstrap over problems; none for fewer than ten.',
  '- tokens and seconds: means of one request; seconds beside the other requests of the time. tokens/s: generated tokens per second in which the arm had a request in progress.',
  '- ARM → SELECTOR: what this selector would have chosen among the samples of an arm that keeps them (`explain=true`).',
  '- cut: share of answers that the limit of tokens or of time ended. errors: problems that could not be asked, which count as wrong.',
]

function signalSection({ signals }: Report): string[] {
  if (signals.length === 0) return []
  return [
    '## Signals',
    'Mean within-question AUC: the share of pairs of a right and a wrong sample of one question that the signal orders, over the questions whose samples are not all right or all wrong; its interval by bootstrap over problems. .5 is chance.',
    markdownTable(
      ['samples of', 'signal', 'mixed', 'within-question AUC', '95 %'],
      signals.map(({ arm, signal, mixed, withinAuc }) => [
        arm,
        signal,
        mixed,
        decimals(withinAuc.value),
        interval(withinAuc),
      ]),
    ),
  ]
}

function familySection(family: string, arms: readonly ArmReport[], report: Report): string {
  const header = ['arm', 'problems', 'accuracy', '95 %', 'sd over seeds', `minus ${report.against}`, '95 %']
  const table = markdownTable(
    [...header, 'generated tokens', 'judged tokens'],
    arms.map((arm) => armCells(arm).slice(0, header.length + 2)),
  )
  return `## ${family}\n\n${table}`
}

function armCells(arm: ArmReport): Cell[] {
  const { accuracy, difference } = arm
  return [
    arm.arm,
    accuracy.n,
    decimals(accuracy.value),
    interval(accuracy),
    arm.sdOverSeeds === null ? '-' : decimals(arm.sdOverSeeds),
    difference === null ? '-' : signed(difference.value),
    difference === null ? '-' : interval(difference, signed),
    arm.generatedTokens.toFixed(1),
    arm.judgedTokens.toFixed(1),
    arm.seconds.toFixed(2),
    arm.tokensPerSecond.toFixed(1),
    decimals(arm.cut),
    arm.errors,
  ]
}

const decimals = (value: number) => value.toFixed(3)
const signed = (value: number) => `${value > 0 ? '+' : ''}${value.toFixed(3)}`

function interval({ low, high }: Figure, write = decimals): string {
  return low === undefined || high === undefined ? '-' : `${write(low)} to ${write(high)}`
}
