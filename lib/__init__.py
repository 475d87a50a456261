"""The review assigner, room by room.

Data flows down this list, and nothing imports a room below its own.

step            room            knows
the story       run             the order of the steps, and nothing else
                queues          one invocation, many runs: their time, and what comes back
load            load            everything a run depends on; refuses what is wrong at once
                queue_list      what each of several queues says     (pure)
                settings        the variables and the event          (pure)
                rules           what a setting may be                (pure)
                taking          what a take-back means               (pure)
                roster          the reviewers list and its people    (pure)
                terms           weight, room, days of a person       (pure)
                zones           the time zones' data                 (pure)
                names           ids and addresses as people paste    (pure)
                aws             clients, the parameter, the secret
a kind of run   handout         hands rows out
                undo            takes back what one run assigned
                take_back       takes rows back from people
                digest          tells the team; a message, and no run
read            chain           the plans before, and what their records confirm
                gifts           who had a row last
                bucket          objects in S3, and conditional writes
                reading         full and short reads, and the proof
                fetch           the pages that rows come in
                sieve           what is kept of a row, what is odd   (pure)
                authors         whom a row names as its author       (pure)
                rows            the query, and what a row says       (pure)
propose         past            what the last two hours planned      (pure)
                bars            who may not have which row           (pure)
                plan            what is planned and carried          (pure)
                passed          who does not get a row again         (pure)
                turns           whose turn it is, and why            (pure)
                lots            row by row: several people, and bars (pure)
                distribution    who gets which row                   (pure)
commit          audit           plans, the ledger, records
                jsontext        JSON by the piece                    (pure)
write           assign          the inserts, and what became of each row
ask             braintrust      the calls to Braintrust, and the one loop that repeats
                directory       the organisation's users and groups
                verdict         what one attempt came to
                pauses          how long to wait before the next one (pure)
                wire            one attempt, given up in time
                connection      the last look before bytes go out
                answer          what came back, read within bounds
                quoting         others' words in our messages        (pure)
                webhook         posts a message; its address is nowhere
tell            message         the digest's text                    (pure)
                people          what everybody has, open and done    (pure)
                findings        what is to be said of what was seen  (pure)
                result          what comes back                      (pure)
                telemetry       log lines and metrics
everywhere      deadline, errors
"""
