-- Looks up an idempotency key: ARGV its owner and name, the fingerprint of the request.
-- Returns {'new', ''}, or {'accepted', 'gone' or 'conflict', id of its job}.

return {read_ticket(ARGV[2], ARGV[3])}
