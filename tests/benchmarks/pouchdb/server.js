// Serves the PouchDB databases of a directory over HTTP; the first line says the port.
const directory = process.argv[2]
const express = require('express')
const PouchDB = require('pouchdb').defaults({ prefix: directory + '/' })

const app = express()
const options = { inMemoryConfig: true, logPath: directory + '/log.txt' }
app.use('/', require('express-pouchdb')(PouchDB, options))
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
