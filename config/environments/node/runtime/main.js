// `node /opt/muon/main.js` starts the runtime.
import { main } from './src/server.js'

main()
