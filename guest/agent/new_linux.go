package agent

import "log/slog"

// New returns an agent that serves without the duties of process 1, as in a guest with an init of its own. A nil log discards.
func New(log *slog.Logger) (*Agent, error) {
	ready := make(chan struct{})
	close(ready)
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return newAgent(&linux{ps: newProcesses(false), log: log, end: askInit}, log, defaultEnv(), ready), nil
}
