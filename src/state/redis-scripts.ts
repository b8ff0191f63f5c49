// The Lua scripts of the Redis store. Tables: KEYS are the hash and the sorted set of ends; ARGV are the channel, the
// asker's name, the table, and what the script's own line says. Each tells the channel what it changed.

const TELL = `
  local function tell(key, text)
    redis.call('PUBLISH', ARGV[1], cjson.encode({ ARGV[2], ARGV[3], key, text }))
  end
  local function put(key, ends, value)
    local text = ends .. ' ' .. value
    redis.call('HSET', KEYS[1], key, text)
    redis.call('ZADD', KEYS[2], ends, key)
    tell(key, text)
  end
  local function remove(key)
    redis.call('ZREM', KEYS[2], key)
    if redis.call('HDEL', KEYS[1], key) == 1 then tell(key) end
  end
`;

/** (key, end, value)… */
export const PUT = `${TELL}
  for i = 4, #ARGV, 3 do put(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
  return 1`;

/** key… */
export const REMOVE = `${TELL}
  for i = 4, #ARGV do remove(ARGV[i]) end
  return 1`;

/** now, key, absent|present, value that must be there, absent|present, end, value to be there. */
export const CHANGE = `${TELL}
  local text = redis.call('HGET', KEYS[1], ARGV[5])
  local blank = text and string.find(text, ' ', 1, true)
  if text and tonumber(string.sub(text, 1, blank - 1)) <= tonumber(ARGV[4]) then text = false end
  if ARGV[6] == 'absent' then
    if text then return 0 end
  elseif not text or string.sub(text, blank + 1) ~= ARGV[7] then
    return 0
  end
  if ARGV[8] == 'absent' then remove(ARGV[5]) else put(ARGV[5], ARGV[9], ARGV[10]) end
  return 1`;

/** now; quietly, since everybody knows when an entry ends. */
export const PURGE = `
  local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, 1000)
  for _, key in ipairs(old) do
    redis.call('HDEL', KEYS[1], key)
    redis.call('ZREM', KEYS[2], key)
  end
  return #old`;

/**
 * Counts. KEYS are the counts; ARGV: the node, how leases are called, life of a count, a limit for each key.
 * Gives 0, or the number of the key that is full. A node without a lease counts no more.
 */
export const TAKE = `
  for i, key in ipairs(KEYS) do
    local sum = 0
    local all = redis.call('HGETALL', key)
    for j = 1, #all, 2 do
      if all[j] == ARGV[1] or redis.call('EXISTS', ARGV[2] .. all[j]) == 1 then
        sum = sum + math.max(0, tonumber(all[j + 1]))
      else
        redis.call('HDEL', key, all[j])
      end
    end
    if sum >= tonumber(ARGV[3 + i]) then return i end
  end
  for _, key in ipairs(KEYS) do
    redis.call('HINCRBY', key, ARGV[1], 1)
    redis.call('PEXPIRE', key, ARGV[3])
  end
  return 0`;

/** KEYS are counts; ARGV: the node, life of a count, what to add to each. */
export const ADD = `
  for i, key in ipairs(KEYS) do
    if redis.call('HINCRBY', key, ARGV[1], ARGV[2 + i]) <= 0 then redis.call('HDEL', key, ARGV[1]) end
    redis.call('PEXPIRE', key, ARGV[2])
  end
  return 0`;
