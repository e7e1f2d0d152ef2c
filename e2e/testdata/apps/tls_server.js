// Node's https server: PORT CERTIFICATE KEY [ROOT]. With a root it serves clients
// with a certificate that leads there.
const fs = require("fs");
const https = require("https");

const [port, cert, key, root] = process.argv.slice(2);
const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
if (root) {
  Object.assign(options, {
    requestCert: true,
    rejectUnauthorized: true,
    ca: fs.readFileSync(root),
  });
}
https
  .createServer(options, (request, response) => {
    const client = request.socket.getPeerCertificate().subject;
    response.end("fluffy tail" + (client ? " for " + client.CN : ""));
  })
  .on("tlsClientError", (problem) => console.log("no connection:", problem.message))
  .listen(Number(port), "127.0.0.1");
