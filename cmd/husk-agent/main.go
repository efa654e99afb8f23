// Command husk-agent is the guest's process 1, or a service in a guest that has its own. See guest/agent.
package main

import (
	"os"

	"github.com/husk-vm/husk/guest/agent"
)

func main() { os.Exit(agent.Main()) }
