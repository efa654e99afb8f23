// Package proto is the conversation between the host (guest/client) and the agent (guest/agent).
//
// Owns: frames, messages, their bounds, and the flow control of streams.
// Must not know: vsock, processes, files; it sees byte streams.
// Spec: this comment.
// Stability: a part of the house, no compatibility promise for Go callers. On the wire: see "Versions".
//
// # Connections
//
// The agent listens on [AgentPort]; the host dials it. When the agent starts it dials the host's [ReadyPort]: a host that
// listens there learns that the guest is up without polling, and uses that connection as a control connection.
//
// A connection does one thing, its role: [RoleControl] carries requests, one at a time, each with its answer; [RoleExec]
// is one process, from Exec to Exit, and the process group dies with the connection; [RoleFiles] copies one tree in or out.
// A connection for each process costs one round trip and buys a lifetime and back-pressure of its own.
//
// # Frames
//
//	 0      1      2        4               8
//	+------+------+--------+---------------+------------------+
//	| type | flags| stream | length (LE32) | length bytes ... |
//	+------+------+--------+---------------+------------------+
//
// Numbers are little endian. The length is bounded by the type: [MaxPayload], but [MaxExec] for an Exec frame.
//
// # Versions
//
// Each side's first frame is Hello. The dialling side sends it at once, and may send its request right behind it.
// A different major version ends the connection. Within a major version fields are only appended to messages: a decoder
// ignores bytes behind the fields it knows. A frame of unknown type ends the connection, unless its sender marked it
// [FlagIgnorable]; then it is skipped.
//
// # Exec
//
//	host   Hello{Exec} Exec  Data(0)… EOF(0)  Window(1|2)… Closed(1|2)  Signal… Resize…
//	agent  Hello  Started | Error   Data(1)… Data(2)… EOF(1) EOF(2)  Window(0)… Closed(0)  Exit
//
// Streams 0, 1 and 2 are the process's standard files. They share a connection without blocking one another, because
// each has a window: a sender may have at most [Window] bytes under way that the receiver has not yet granted anew.
// The receiver has room for a whole window, so its reading loop never waits for a consumer, and a Signal or an Exit is
// never stuck behind data that nobody reads. Window frames grant bytes after the consumer took them.
//
// EOF(0) closes the process's standard input (on a terminal: types its end-of-file character). Closed(1|2) says that the
// host will read no more: the agent closes the pipe, and the process meets SIGPIPE. Closed(0) says that the process reads no more.
//
// Exit is the agent's last frame and follows all output. Should a descendant keep standard output open after the process ended, the agent
// waits [OutputGrace], delivers what is in the pipe by then, and closes it.
//
// # Files
//
//	in:   host   Hello{Files} Put Entry Data… EOF  Entry …  End      agent  Hello Done | Error
//	out:  host   Hello{Files} Get                                    agent  Hello Entry Data… EOF  Entry … End | Error
//
// Only regular files have Data and EOF. Entries name paths relative to the place named by Put or Get, "." for that place itself;
// parents come before children.
//
// # Control
//
//	host   Hello{Control, clock} Ping | Clock | InfoRequest | Shutdown      agent  Hello  Done | Info | Error
package proto
