// Fills a PouchDB with the keys and values of a JSON file, then replicates it to a server's.
// Prints the seconds of the replication and how many documents the server has.
const [directory, file, port] = process.argv.slice(2)
const fs = require('fs')
const PouchDB = require('pouchdb')

const FILL_DOCUMENTS = 1000
const BATCH_DOCUMENTS = 1000 // ten times the default, which is slower

async function main () {
  const local = new PouchDB(directory + '/from')
  const pairs = JSON.parse(fs.readFileSync(file))
  for (let first = 0; first < pairs.length; first += FILL_DOCUMENTS) {
    const some = pairs.slice(first, first + FILL_DOCUMENTS)
    await local.bulkDocs(some.map(([key, value]) => ({ _id: key, value })))
  }
  const remote = new PouchDB(`http://127.0.0.1:${port}/to`)
  const start = process.hrtime.bigint()
  await local.replicate.to(remote, { batch_size: BATCH_DOCUMENTS })
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const { doc_count: count } = await remote.info()
  console.log(JSON.stringify({ seconds, count }))
}

main()
