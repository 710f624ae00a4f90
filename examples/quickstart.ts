import { IsInt, IsString, Min } from 'class-validator';
import type { MessageContext, ProjectionContext, SqliteDatabase } from 'foldlog';
import { Aggregate, AggregateRoot, Apply, Consumer, Event, Foldlog, On, Projection } from 'foldlog';

@Event({ type: 'Deposited', version: 1 })
class Deposited {
  @IsInt() @Min(1) cents!: number;
  @IsString() by!: string;
}

@Aggregate({ topic: 'accounts', stream: 'account' })
class Account extends AggregateRoot {
  balance = 0;
  deposit(cents: number, by: string) {
    this.apply(Deposited, { cents, by });
  }
  @Apply(Deposited) protected onDeposited(event: Deposited) {
    this.balance += event.cents;
  }
}

@Consumer('accounts', { group: 'receipts', from: 'CONSUME_FROM_FIRST_OFFSET' })
class Receipts {
  @On(Deposited) deposited(event: Deposited, context: MessageContext) {
    console.log(`receipt: ${event.cents} cents by ${event.by} to ${context.stream}`); // guarded: once per event
  }
}

@Projection({ name: 'totals', version: 1, topics: ['accounts'] })
class Totals {
  initialise = (db: SqliteDatabase) => db.exec('CREATE TABLE total (who TEXT PRIMARY KEY, cents INTEGER)');
  @On(Deposited) deposited({ by, cents }: Deposited, { db }: ProjectionContext<SqliteDatabase>) {
    db.run('INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET cents = cents + ?', by, cents, cents);
  }
}

const app = await Foldlog.start({ store: process.argv[2] ?? './foldlog-data', handlers: [Account, Receipts, Totals] });
await app.aggregate(Account).execute('42', (account) => account.deposit(1250, 'ann'), { commandId: 'click-1' });
const done = await app
  .aggregate(Account)
  .execute('42', (account) => account.deposit(250, 'ann'), { commandId: 'click-2' });
await app.projection(Totals).waitFor(done.position);
console.log(app.projection(Totals).database.all('SELECT * FROM total')); // [ { who: 'ann', cents: 1500 } ]
await app.stop();
