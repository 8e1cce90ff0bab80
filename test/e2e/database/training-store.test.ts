import { createEmbeddedDatabase } from '../../support/test-database.ts'
import { describeTrainingStore } from '../../support/training-store-suite.ts'

describeTrainingStore('the embedded database', createEmbeddedDatabase)
