-- The table that the exporter writes to (create_schema: false), with the columns that questions are asked by.
CREATE DATABASE IF NOT EXISTS countersign;

CREATE TABLE IF NOT EXISTS countersign.records
(
    Timestamp          DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimestampTime      DateTime DEFAULT toDateTime(Timestamp),
    TraceId            String CODEC(ZSTD(1)),
    SpanId             String CODEC(ZSTD(1)),
    TraceFlags         UInt8,
    SeverityText       LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber     UInt8,
    ServiceName        LowCardinality(String) CODEC(ZSTD(1)),
    Body               String CODEC(ZSTD(1)),
    ResourceSchemaUrl  LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeSchemaUrl     LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName          String CODEC(ZSTD(1)),
    ScopeVersion       LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes    Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes      Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    EventName          String CODEC(ZSTD(1)),

    exchange   String                 MATERIALIZED LogAttributes['countersign.exchange.id'],
    user       LowCardinality(String) MATERIALIZED LogAttributes['user.id'],
    session    String                 MATERIALIZED LogAttributes['countersign.session.id'],
    decision   LowCardinality(String) MATERIALIZED LogAttributes['countersign.decision'],
    rule       LowCardinality(String) MATERIALIZED LogAttributes['countersign.rule'],
    operations String                 MATERIALIZED LogAttributes['countersign.operations'],
    status     UInt16                 MATERIALIZED toUInt16OrZero(LogAttributes['http.response.status_code']),
    worker     LowCardinality(String) MATERIALIZED LogAttributes['countersign.worker.id'],
    seq        UInt64                 MATERIALIZED toUInt64OrZero(LogAttributes['countersign.worker.seq']),

    INDEX by_exchange exchange TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_session  session  TYPE bloom_filter(0.01)  GRANULARITY 1,
    INDEX prompts LogAttributes['countersign.request.body']  TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1,
    INDEX answers LogAttributes['countersign.response.body'] TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toDate(TimestampTime)
ORDER BY (user, TimestampTime, Timestamp);
