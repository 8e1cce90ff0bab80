import { describeEpisodeStore } from '../../support/episode-store-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeEpisodeStore('the embedded database', createEmbeddedDatabase)
