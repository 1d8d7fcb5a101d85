// Package prommetrics counts for Prometheus what clients do.
//
//	docent_client_request_duration_seconds{op,outcome}   histogram: from the call to its end
//	docent_client_connects_total{outcome}                attempts at an address: attached, failed
//	docent_client_connections{state}                     clients in each state of their connection
//	docent_client_sessions_total                         sessions begun, by the clients followed
//	docent_client_watches_open                           watches and streams that have not ended
//	docent_client_requests_in_flight                     requests sent and not answered
//	docent_client_pending_deletes                        guaranteed deletions not confirmed yet
//
// The outcome of a request is ok (also when exists finds no node), refused (a server answered with an error), maybe_applied (a write without an answer)
// or failed (any other, without an answer).
//
// It is a package of its own so that the client does not import Prometheus.
package prommetrics
